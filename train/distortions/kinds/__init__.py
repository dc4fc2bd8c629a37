"""Camera and network faults on uint8 pictures: five calibrated levels and the operator's word for the cause."""

from dpiqa.train.distortions.kinds import coding, obstruction, optics, sensor, tone  # noqa: F401  (importing them fills the register)
from dpiqa.train.distortions.kinds.base import CAUSES, LEVELS, REGISTER, Cause, Degradation

DEGRADATIONS: dict[str, Degradation] = dict(sorted(REGISTER.items(), key=lambda item: CAUSES.index(item[1].cause)))
__all__ = ["CAUSES", "DEGRADATIONS", "LEVELS", "Cause", "Degradation"]

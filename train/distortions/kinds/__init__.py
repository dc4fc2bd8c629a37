"""Distortions by cameras and networks: five calibrated levels, and the operator's word for the cause."""

from dpiqa.train.distortions.kinds import coding, obstruction, optics, sensor, tone  # noqa: F401  (importing them fills the register)
from dpiqa.train.distortions.kinds.base import CAUSES, LEVELS, REGISTER, Cause, Distortion

DISTORTIONS: dict[str, Distortion] = dict(sorted(REGISTER.items(), key=lambda item: CAUSES.index(item[1].cause)))
__all__ = ["CAUSES", "DISTORTIONS", "LEVELS", "Cause", "Distortion"]

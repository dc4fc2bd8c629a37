"""The native core: scores frames as cameras give them. `runtime` is the comfortable way in, this is the fast one."""

from ._native import Meter, Reading, Scorer, Signals, __version__, preprocess
from .errors import ContractError, DpiqaError, EngineError, InputError

__all__ = [
    "ContractError",
    "DpiqaError",
    "EngineError",
    "InputError",
    "Meter",
    "Reading",
    "Scorer",
    "Signals",
    "__version__",
    "preprocess",
]

"""What an engine is: it turns frames of the model's shapes into predictions."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import EngineError
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.spec import ModelSpec


class TimedPrediction(NamedTuple):
    """What a model says of one picture, and the seconds that its stages took."""

    prediction: Prediction
    preprocess_s: float
    infer_s: float


class Process:
    """The process that opened a native session: after a fork, the child has its memory and none of its threads.

    There the session is never destroyed, which would wait for them.
    """

    def __init__(self, session: Any) -> None:
        self._id, self._session = os.getpid(), session
        _OPENED.add(self)

    def check(self) -> None:
        """Raise EngineError in any other process."""
        if os.getpid() != self._id:
            raise EngineError(
                f"the model was opened by process {self._id}, before it forked this one: its threads are not here, "
                "open it after the fork (multiprocessing: in the worker, or with the start method 'spawn')"
            )

    def keep(self) -> None:
        """Take a reference that nobody gives back."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))


_OPENED: weakref.WeakSet[Process] = weakref.WeakSet()


def _keep_all() -> None:
    for process in list(_OPENED):
        process.keep()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)


class Engine(Protocol):
    """Runs one model file."""

    @property
    def name(self) -> str:
        """The name that `--engine` takes."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The contract of the model file."""
        ...

    @property
    def requests(self) -> int:
        """The number of threads that may usefully call at once."""
        ...

    def infer(self, frames: NDArray[np.uint8]) -> list[Prediction]:
        """Score RGB frames, uint8 `[N, H, W, 3]` of a shape in the contract. Raises EngineError if the run fails."""
        ...

    def score(self, picture: NDArray[np.uint8] | Planes) -> TimedPrediction:
        """Bring a picture, planes or BGR uint8 `[h, w, 3]` without gaps in its rows, to the model's shape and infer.

        Of a void picture (runtime/void.py) the prediction says so; `infer` gives what the network says of it.
        """
        ...

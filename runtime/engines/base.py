"""What an engine is: it turns frames at the model's size into predictions."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.planes import Planes
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.spec import ModelSpec


class TimedPrediction(NamedTuple):
    """What a model says of one picture, and the seconds that its stages took."""

    prediction: Prediction
    preprocess_s: float
    infer_s: float


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

    def infer(self, frames: NDArray[np.uint8]) -> list[Prediction]:
        """Score RGB frames, uint8 `[N, H, W, 3]` with the contract's H and W. Raises EngineError if the run fails."""
        ...

    def score(self, picture: NDArray[np.uint8] | Planes) -> TimedPrediction:
        """Bring a picture, planes or BGR uint8 `[h, w, 3]` without gaps in its rows, to the model's size and infer."""
        ...

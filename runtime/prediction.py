"""What a model says of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.void import Void

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A score from 0 to 100 and, of a model that gives them, causes and a quality map.

    `causes` is float32 `[K]` from 0 to 1 in the order of `cause_names`, the contract's; `map` is float32 `[h, w]` from
    0 to 100. `void` says that there is nothing to see in the frame: then score, causes and map are 0.
    """

    score: float
    cause_names: tuple[str, ...] = ()
    causes: Floats | None = None
    map: Floats | None = None
    void: Void | None = None

    def where_seen(self, void: Void | None) -> Prediction:
        """This prediction of a frame that shows something, and the one of a void frame otherwise."""
        if void is None:
            return self
        causes = None if self.causes is None else np.zeros_like(self.causes)
        quality_map = None if self.map is None else np.zeros_like(self.map)
        return replace(self, score=0.0, causes=causes, map=quality_map, void=void)

    def causes_by_name(self) -> dict[str, float]:
        """Each cause's strength; empty for a void frame, and for a model that names none."""
        return (
            {} if self.causes is None or self.void else dict(zip(self.cause_names, self.causes.tolist(), strict=True))
        )

    def strongest_cause(self) -> str | None:
        """The name of the strongest cause, the first of equals; None where there are none."""
        return None if self.causes is None or self.void else self.cause_names[int(self.causes.argmax())]


def scores_of(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    """The scores, float64 `[N]`."""
    return np.array([prediction.score for prediction in predictions], np.float64)

"""The few layers back in FP32 with which a quantized model keeps its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import onnx
from numpy.typing import NDArray

from runtime.errors import GateError
from runtime.reference import open_session

from .calibration import Pictures
from .comparison import Budget, Comparison, broken
from .sensitivity import int8_share, restore, scores

# Chosen with a tenth to spare: the worst of other pictures may be worse than the worst of those chosen on.
_TO_SPARE = 0.9
_CONSIDERED = 8
_HARDEST = 16


@dataclass(frozen=True)
class Candidates:
    """A quantized model, its FP32 original, and the names of its quantized layers, the most sensitive first."""

    quantized: onnx.ModelProto
    original: onnx.ModelProto
    ranked: Sequence[str]

    def keeping(self, names: Sequence[str]) -> onnx.ModelProto:
        """The quantized model with the layers `names` in FP32."""
        return restore(self.quantized, self.original, names)


def repair(
    candidates: Candidates,
    pictures: Pictures,
    budget: Budget,
    min_int8: float,
    told: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Layers that must stay in FP32 for `pictures` to keep the budget: the most sensitive, the last the most helpful.

    The ranking knows means, and one picture in a thousand can break a budget. So where one of the most sensitive layers
    left brings the worst pictures within it, the one with which they drift least is next, else the most sensitive.
    Layers without which less than the share `min_int8` (0 to 1) of the convolutions' multiply-accumulates would be INT8
    are passed over. `told` hears of every attempt. Raises GateError when no list will do.
    """
    goal = replace(budget, srcc_drop=_TO_SPARE * budget.srcc_drop, drift=_TO_SPARE * budget.drift,
                   mean_drift=_TO_SPARE * budget.mean_drift)  # fmt: skip
    expected = scores(candidates.original, pictures.frames).astype(np.float64)
    order: NDArray[np.intp] = np.arange(len(pictures))
    kept: list[str] = []
    while True:
        order, fault = _judge(candidates.keeping(kept), pictures, expected, order, goal)
        told(f"{len(kept)} layers in FP32: {fault or 'keeps the budget'}")
        if fault is None:
            return kept
        hardest = order[:_HARDEST]
        considered = ([*kept, layer] for layer in candidates.ranked if layer not in kept)
        longer = list(islice((some for some in considered if _affordable(candidates, some, min_int8)), _CONSIDERED))
        if not longer:
            raise GateError(
                f"budget broken whatever stays in FP32 with {min_int8:.0%} of the convolutions in INT8: "
                "fine-tune the student (python -m train.qat) or widen the budget"
            )
        drifts = [_worst(candidates.keeping(names), pictures, expected, hardest) for names in longer]
        one_suffices = min(drifts) <= goal.drift < _worst(candidates.keeping(kept), pictures, expected, hardest)
        kept = longer[int(np.argmin(drifts)) if one_suffices else 0]


def _affordable(candidates: Candidates, names: list[str], min_int8: float) -> bool:
    return int8_share(candidates.keeping(names)) >= min_int8


def _worst(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], places: NDArray[np.intp]
) -> float:
    """The largest drift of the pictures at `places`, infinite where a score is not a number."""
    drift = np.abs(scores(model, pictures.frames[places]) - expected[places])
    return float(np.nan_to_num(drift, nan=np.inf).max())


def _judge(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], order: NDArray[np.intp], goal: Budget
) -> tuple[NDArray[np.intp], str | None]:
    """Score pictures in `order` until the goal is out of reach, and enough is seen to say by which of them.

    Gives the places of all pictures, the worst first and those not scored last, and what is broken.
    """
    session = open_session(model.SerializeToString())
    found = np.full(len(order), np.nan)
    for place in order:
        (score,) = session.run(["score"], {"frames": pictures.frames[place, None]})
        found[place] = np.nan_to_num(np.asarray(score)[0], nan=np.inf, posinf=np.inf)  # beyond every budget
        drift = np.abs(found - expected)
        if np.count_nonzero(drift > goal.drift) >= _HARDEST or np.nansum(drift) > goal.mean_drift * len(order):
            break
    drift = np.abs(found - expected)
    seen = int(np.count_nonzero(~np.isnan(drift)))
    worst_first = np.argsort(-np.nan_to_num(drift, nan=-1))
    worst = drift[worst_first[:seen]]
    if seen < len(order) or worst[0] > goal.drift:
        return worst_first, f"drift {worst[0]:.2f} on one picture, {worst.mean():.2f} on {seen}"
    whole = Comparison(pictures.names, expected, found, 0, 0, "onnxruntime", pictures.mos)
    return worst_first, "; ".join(broken(whole, goal)) or None

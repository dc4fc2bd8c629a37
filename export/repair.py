"""The fewest layers back in FP32 with which a quantized model keeps its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    """The shortest list of the most sensitive layers that must stay in FP32 for `pictures` to keep the budget.

    Layers without which less than the share `min_int8` (0 to 1) of the convolutions' multiply-accumulates would be INT8
    are passed over. `told` hears of every attempt. Raises GateError when no list will do.
    """
    goal = replace(budget, srcc_drop=_TO_SPARE * budget.srcc_drop, drift=_TO_SPARE * budget.drift,
                   mean_drift=_TO_SPARE * budget.mean_drift)  # fmt: skip
    expected = scores(candidates.original, pictures.frames).astype(np.float64)
    order: NDArray[np.intp] = np.arange(len(pictures))
    kept: list[str] = []
    for layer in [None, *candidates.ranked]:
        longer = [*kept, layer] if layer is not None else kept
        model = candidates.keeping(longer)
        if layer is not None and int8_share(model) < min_int8:
            continue
        kept = longer
        found, fault = _judge(model, pictures, expected, order, goal)
        told(f"{len(kept)} layers in FP32: {fault or 'keeps the budget'}")
        if fault is None:
            return kept
        # Whoever drifted most is asked first next time, so that what cannot do is found out soon.
        order = np.concatenate([found, np.setdiff1d(order, found, assume_unique=True)])
    raise GateError(
        f"budget broken whatever stays in FP32 with {min_int8:.0%} of the convolutions in INT8: "
        "fine-tune the student (python -m train.qat) or widen the budget"
    )


def _judge(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], order: NDArray[np.intp], goal: Budget
) -> tuple[NDArray[np.intp], str | None]:
    """Score pictures until the goal is out of reach: those scored, worst first, and what is broken."""
    session = open_session(model.SerializeToString())
    found = np.full(len(order), np.nan)
    for place in order:
        (score,) = session.run(["score"], {"frames": pictures.frames[place, None]})
        found[place] = np.nan_to_num(np.asarray(score)[0], nan=np.inf, posinf=np.inf)  # beyond every budget
        drift = np.abs(found - expected)
        if drift[place] > goal.drift or np.nansum(drift) > goal.mean_drift * len(order):
            break
    drift = np.abs(found - expected)
    seen = np.argsort(-np.nan_to_num(drift, nan=-1))[: np.count_nonzero(~np.isnan(drift))]
    if len(seen) < len(order) or drift[seen[0]] > goal.drift:
        return seen, f"drift {drift[seen[0]]:.2f} on one picture, {drift[seen].mean():.2f} on {len(seen)}"
    whole = Comparison(pictures.names, expected, found, 0, 0, "onnxruntime", pictures.mos)
    return seen, "; ".join(broken(whole, goal)) or None

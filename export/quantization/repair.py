"""The few layers back in FP32 with which a quantized model keeps its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from dpiqa.errors import GateError, InputError
from dpiqa.export.gate.comparison import Comparison, violations
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import Pictures
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.quantization.qdq import int8_share, restore
from dpiqa.export.quantization.sensitivity import scores
from dpiqa.runtime.engines.onnxruntime import open_session

# A margin of a tenth: the worst of other pictures may be worse than the worst of those used for the choice.
_MARGIN = 0.9
_CONSIDERED = 8  # layers tried when one is sought that helps the worst pictures
_HARDEST = 16  # pictures that it has to help


@dataclass(frozen=True)
class Candidates:
    """A quantized model, its FP32 original, and the names of its quantized layers, the most sensitive first."""

    quantized: onnx.ModelProto
    original: onnx.ModelProto
    ranked: Sequence[str]

    def keeping(self, names: Sequence[str]) -> onnx.ModelProto:
        """The quantized model with the layers `names` in FP32."""
        return restore(self.quantized, self.original, names)


@dataclass(frozen=True)
class _Trial:
    """How far scored pictures drifted: their indices, the worst first, the largest drift, and the violated limits."""

    worst_first: NDArray[np.intp]
    largest: float
    violation: str | None


def repair(
    candidates: Candidates,
    pictures: Pictures,
    budget: Budget,
    min_int8: float,
    notify: Notify = ignore,
) -> list[str]:
    """A short list of layers that, back in FP32, let `pictures` keep nine tenths of the budget; a greedy search.

    Each round adds the most sensitive layer left. But where pictures drift too far, and one of the next few layers
    brings the worst of them within the limit, it adds the one with which they drift least: sensitivity is a mean, and
    one picture in a thousand can break a budget. A layer is skipped if without it less than the fraction `min_int8`
    (0 to 1) of the convolutions' multiply-accumulates would be INT8. `notify` receives a line for each attempt. When
    nothing is left to add, the budget itself decides. Raises GateError when that is broken too, InputError without
    pictures.
    """
    if not len(pictures):
        raise InputError("a repair needs pictures to be chosen on")
    goal = replace(budget, srcc_drop=_MARGIN * budget.srcc_drop, drift=_MARGIN * budget.drift,
                   mean_drift=_MARGIN * budget.mean_drift)  # fmt: skip
    expected = scores(candidates.original, pictures.frames).astype(np.float64)
    order: NDArray[np.intp] = np.arange(len(pictures))
    in_fp32, left = list[str](), list(candidates.ranked)
    while True:
        trial = _try(candidates.keeping(in_fp32), pictures, expected, order, goal)
        notify(f"in FP32: {len(in_fp32)}; {trial.violation or 'keeps the budget'}")
        if trial.violation is None:
            return in_fp32
        # The worst pictures come first next time, so that a layer that is not enough is rejected early.
        order = np.concatenate([trial.worst_first, np.setdiff1d(order, trial.worst_first, assume_unique=True)])
        # A layer that is too expensive now stays so: every further layer costs more.
        left = [layer for layer in left if int8_share(candidates.keeping([*in_fp32, layer])) >= min_int8]
        if not left:
            break
        chosen = left[0]
        if trial.largest > goal.drift:
            hardest = trial.worst_first[:_HARDEST]
            drift = {layer: _largest_drift(candidates.keeping([*in_fp32, layer]), pictures, expected, hardest)
                     for layer in left[:_CONSIDERED]}  # fmt: skip
            if min(drift.values()) <= goal.drift:
                chosen = min(drift, key=drift.__getitem__)
        in_fp32.append(chosen)
        left.remove(chosen)
    violation = _try(candidates.keeping(in_fp32), pictures, expected, order, budget).violation
    if violation is None:
        return in_fp32
    raise GateError(
        f"no repair was found that leaves {100 * min_int8:g} % of the convolutions' work in INT8 and keeps the budget "
        f"({violation}): fine-tune the student (dpiqa train qat) or widen the budget"
    )


def _drift(score: float, expected: float) -> float:
    """Absolute, in points; infinite, which exceeds every budget, where either is not a number."""
    drift = abs(score - expected)
    return drift if np.isfinite(drift) else np.inf


def _largest_drift(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], places: NDArray[np.intp]
) -> float:
    actual = scores(model, [pictures.frames[place] for place in places])
    return max(_drift(float(score), float(expected[place])) for score, place in zip(actual, places, strict=True))


def _try(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], order: NDArray[np.intp], goal: Budget
) -> _Trial:
    """Score pictures in `order`, until enough drift too far or their sum is too large for the mean."""
    session = open_session(model.SerializeToString())
    actual, drift = np.zeros(len(order)), np.full(len(order), -1.0)  # -1: not scored
    for place in order:
        (score,) = session.run(["score"], {"frames": pictures.frames[place][None]})
        actual[place] = np.asarray(score)[0]
        drift[place] = _drift(float(actual[place]), float(expected[place]))
        too_far = np.count_nonzero(drift > goal.drift)
        if too_far >= _HARDEST or drift[drift > 0].sum() > goal.mean_drift * len(order):
            break
    count = int(np.count_nonzero(drift >= 0))
    worst_first = np.argsort(-drift, kind="stable")[:count]
    largest = float(drift.max())
    if count < len(order) or largest > goal.drift:
        mean = float(drift[worst_first].mean())
        return _Trial(worst_first, largest, f"drift {largest:.2f} at most, {mean:.2f} on average of {count}")
    whole = Comparison(pictures.names, expected, actual, 0, 0, "onnxruntime", pictures.mos, shapes=pictures.shapes)
    return _Trial(worst_first, largest, "; ".join(violations(whole, goal)) or None)

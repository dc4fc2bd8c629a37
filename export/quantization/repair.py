"""The few layers back in FP32 with which a quantized model keeps its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from dpiqa.errors import GateError, InputError
from dpiqa.export.gate.comparison import Comparison, broken
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import Pictures
from dpiqa.export.quantization.qdq import int8_share, restore
from dpiqa.export.quantization.sensitivity import scores
from dpiqa.runtime.engines.onnxruntime import open_session

# Chosen with a tenth to spare: the worst of other pictures may be worse than the worst of those chosen on.
_TO_SPARE = 0.9
_CONSIDERED = 8  # layers, when one is looked for that ends it
_HARDEST = 16  # pictures, which that one has to help


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
class _Judgement:
    """How far the pictures drifted that were scored: their places, the worst first, its drift, and what is broken."""

    worst_first: NDArray[np.intp]
    largest: float
    fault: str | None


def repair(
    candidates: Candidates,
    pictures: Pictures,
    budget: Budget,
    min_int8: float,
    told: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """A short list of layers that, back in FP32, let `pictures` keep nine tenths of the budget; found greedily.

    Each round adds the most sensitive layer left: but where pictures drift too far, and one of the next few brings the
    worst of them within the limit, it adds the one with which they drift least. Sensitivity is a mean, and one picture
    in a thousand can break a budget. Layers without which less than the share `min_int8` (0 to 1) of the convolutions'
    multiply-accumulates would be INT8 are passed over. `told` hears of every attempt. When nothing is left to add, the
    budget itself decides. Raises GateError when that is broken, too, InputError without pictures.
    """
    if not len(pictures):
        raise InputError("a repair needs pictures to be chosen on")
    goal = replace(budget, srcc_drop=_TO_SPARE * budget.srcc_drop, drift=_TO_SPARE * budget.drift,
                   mean_drift=_TO_SPARE * budget.mean_drift)  # fmt: skip
    expected = scores(candidates.original, pictures.frames).astype(np.float64)
    order: NDArray[np.intp] = np.arange(len(pictures))
    kept, left = list[str](), list(candidates.ranked)
    while True:
        found = _judge(candidates.keeping(kept), pictures, expected, order, goal)
        told(f"in FP32: {len(kept)}; {found.fault or 'keeps the budget'}")
        if found.fault is None:
            return kept
        # Whoever drifted most is asked first next time, so that what cannot do is found out soon.
        order = np.concatenate([found.worst_first, np.setdiff1d(order, found.worst_first, assume_unique=True)])
        # What is too dear now stays so: every further layer costs more.
        left = [layer for layer in left if int8_share(candidates.keeping([*kept, layer])) >= min_int8]
        if not left:
            break
        chosen = left[0]
        if found.largest > goal.drift:
            hardest = found.worst_first[:_HARDEST]
            drift = {layer: _largest_drift(candidates.keeping([*kept, layer]), pictures, expected, hardest)
                     for layer in left[:_CONSIDERED]}  # fmt: skip
            if min(drift.values()) <= goal.drift:
                chosen = min(drift, key=drift.__getitem__)
        kept.append(chosen)
        left.remove(chosen)
    fault = _judge(candidates.keeping(kept), pictures, expected, order, budget).fault
    if fault is None:
        return kept
    raise GateError(
        f"no repair was found that leaves {100 * min_int8:g} % of the convolutions' work in INT8 and keeps the budget "
        f"({fault}): fine-tune the student (python -m train.qat) or widen the budget"
    )


def _drift(score: float, expected: float) -> float:
    """Absolute, in points; infinite, which is beyond every budget, where either is not a number."""
    drift = abs(score - expected)
    return drift if np.isfinite(drift) else np.inf


def _largest_drift(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], places: NDArray[np.intp]
) -> float:
    found = scores(model, pictures.frames[places])
    return max(_drift(float(score), float(expected[place])) for score, place in zip(found, places, strict=True))


def _judge(
    model: onnx.ModelProto, pictures: Pictures, expected: NDArray[np.float64], order: NDArray[np.intp], goal: Budget
) -> _Judgement:
    """Score pictures in `order`, until enough drift too far or their sum is too large for the mean."""
    session = open_session(model.SerializeToString())
    found, drift = np.zeros(len(order)), np.full(len(order), -1.0)  # -1: not scored
    for place in order:
        (score,) = session.run(["score"], {"frames": pictures.frames[place, None]})
        found[place] = np.asarray(score)[0]
        drift[place] = _drift(float(found[place]), float(expected[place]))
        too_far = np.count_nonzero(drift > goal.drift)
        if too_far >= _HARDEST or drift[drift > 0].sum() > goal.mean_drift * len(order):
            break
    seen = int(np.count_nonzero(drift >= 0))
    worst_first = np.argsort(-drift, kind="stable")[:seen]
    largest = float(drift.max())
    if seen < len(order) or largest > goal.drift:
        mean = float(drift[worst_first].mean())
        return _Judgement(worst_first, largest, f"drift {largest:.2f} at most, {mean:.2f} on average of {seen}")
    whole = Comparison(pictures.names, expected, found, 0, 0, "onnxruntime", pictures.mos)
    return _Judgement(worst_first, largest, "; ".join(broken(whole, goal)) or None)

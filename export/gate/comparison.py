"""A model against its FP32 reference: the same pictures through both, and the budget that the difference must keep.

What the drop in SRCC means: on rated pictures, SRCC of the reference with MOS minus SRCC of the candidate with MOS;
without MOS, 1 minus the SRCC of the candidate with the reference's scores.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import ContractError, GateError, InputError
from dpiqa.export.gate.bars import tracked
from dpiqa.export.gate.options import Budget
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.reading import BANDS, Band, band
from dpiqa.train.loop.metrics import plcc, srcc

_NAMED = 5
Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of both models on the same pictures, float64 `[N]` in 0 to 100, and the median latency of each.

    Where both name causes, `cause_agreement` is the share of pictures with the same strongest cause; where both draw a
    map, `map_drift` is the mean absolute difference of its cells in points.
    """

    names: tuple[str, ...]
    reference: Scores
    candidate: Scores
    reference_latency_ms: float
    candidate_latency_ms: float
    engine: str
    mos: Scores | None = None
    cause_agreement: float | None = None
    map_drift: float | None = None

    @property
    def drift(self) -> Scores:
        """Candidate minus reference, points."""
        return self.candidate - self.reference

    @property
    def srcc(self) -> float:
        """Rank correlation of the candidate's scores with the reference's."""
        return srcc(self.candidate, self.reference)

    @property
    def plcc(self) -> float:
        """Linear correlation of the candidate's scores with the reference's."""
        return plcc(self.candidate, self.reference)

    @property
    def srcc_drop(self) -> float:
        """See the module's docstring; negative where the candidate agrees better with people."""
        if self.mos is None:
            return 1 - self.srcc
        return srcc(self.reference, self.mos) - srcc(self.candidate, self.mos)

    @property
    def mean_drift(self) -> float:
        """Mean absolute drift, points."""
        return float(np.abs(self.drift).mean())

    @property
    def largest_drift(self) -> float:
        """Largest absolute drift, points."""
        return float(np.abs(self.drift).max())

    def by_band(self) -> dict[Band, tuple[int, float, float]]:
        """For each band of the reference's score that has pictures: how many, their mean and their largest drift."""
        bands = np.array([band(score) for score in self.reference])
        found: dict[Band, tuple[int, float, float]] = {}
        for _, name in BANDS:
            drift = np.abs(self.drift[bands == name])
            if len(drift):
                found[name] = len(drift), float(drift.mean()), float(drift.max())
        return found

    def worst(self, count: int = _NAMED) -> list[tuple[str, float, float]]:
        """The pictures that drifted most: name, reference's score, candidate's score."""
        order = np.argsort(-np.abs(self.drift))[:count]
        return [(self.names[i], float(self.reference[i]), float(self.candidate[i])) for i in order]

    def figures(self) -> dict[str, Any]:
        """Everything but the single scores, ready for JSON."""
        return {
            "pictures": len(self.names),
            "engine": self.engine,
            "srcc": self.srcc,
            "plcc": self.plcc,
            "srcc_drop": self.srcc_drop,
            "srcc_drop_against": "reference" if self.mos is None else "MOS",
            "mean_drift": self.mean_drift,
            "largest_drift": self.largest_drift,
            "reference_latency_ms": self.reference_latency_ms,
            "candidate_latency_ms": self.candidate_latency_ms,
        } | self._beside()

    def _beside(self) -> dict[str, float]:
        """The figures of what models give beside scores."""
        beside = {"cause_agreement": self.cause_agreement, "map_drift": self.map_drift}
        return {name: figure for name, figure in beside.items() if figure is not None}

    def __str__(self) -> str:
        beside = "".join(f"  {name.replace('_', ' ')} {figure:.3g}" for name, figure in self._beside().items())
        return (
            f"on {len(self.names)} pictures: SRCC {self.srcc:.4f}  PLCC {self.plcc:.4f}  SRCC drop {self.srcc_drop:.4f}"
            f"  mean drift {self.mean_drift:.2f}  largest {self.largest_drift:.2f} points"
            f"{beside}  latency {self.reference_latency_ms:.0f} -> {self.candidate_latency_ms:.0f} ms"
        )


def compare(
    reference: Path,
    candidate: Path,
    frames: NDArray[np.uint8],
    names: Sequence[str],
    engine: str = "onnxruntime",
    progress: bool = False,
    mos: Scores | None = None,
) -> Comparison:
    """Score uint8 frames `[N, H, W, 3]`, one at a time and in turn, with the reference (ONNX Runtime) and a candidate.

    In turn, because a machine's speed drifts: both latencies are taken under the same conditions. Raises ContractError
    when the two files do not take the same input, and whatever opening and running an engine raises.
    """
    engines = open_engine(reference, "onnxruntime"), open_engine(candidate, engine)
    if engines[0].spec.input != engines[1].spec.input:
        raise ContractError(f"{candidate}: takes another input than {reference}, they cannot be compared")
    scores, latency_ms = np.empty((2, len(frames))), np.empty((2, len(frames)))
    same_cause, map_drift = list[bool](), list[float]()
    for place in tracked(range(len(frames)), "comparing", progress):
        predictions: list[Prediction] = []
        for row, one in enumerate(engines):
            began = time.perf_counter()
            predictions += one.infer(frames[place, None])
            latency_ms[row, place] = 1000 * (time.perf_counter() - began)
            scores[row, place] = predictions[row].score
        ours, theirs = predictions
        if ours.causes is not None and theirs.causes is not None:
            same_cause.append(ours.strongest_cause() == theirs.strongest_cause())
        if ours.map is not None and theirs.map is not None:
            map_drift.append(float(np.abs(ours.map - theirs.map).mean()))
    ours_ms, theirs_ms = np.median(latency_ms, axis=1).tolist() if len(frames) else (0.0, 0.0)
    agreement, drift = (float(np.mean(found)) if found else None for found in (same_cause, map_drift))
    return Comparison(tuple(names), scores[0], scores[1], ours_ms, theirs_ms, engine, mos, agreement, drift)


def broken(comparison: Comparison, budget: Budget) -> list[str]:
    """What of the budget is broken, each in a few words; empty when all is kept."""
    limits = {
        "SRCC drop": (comparison.srcc_drop, budget.srcc_drop),
        "largest drift": (comparison.largest_drift, budget.drift),
        "mean drift": (comparison.mean_drift, budget.mean_drift),
    }
    return [f"{name} {found:.4g} (limit {limit:g})" for name, (found, limit) in limits.items() if not found <= limit]


def gate(comparison: Comparison, budget: Budget) -> None:
    """Let pass what keeps the budget; else GateError that names what is broken and the worst pictures.

    Raises InputError when there are fewer pictures than the budget asks for.
    """
    count = len(comparison.names)
    if count < max(budget.pictures, 1):
        raise InputError(
            f"the gate needs at least {budget.pictures} pictures that calibration did not see, found {count}"
        )
    if faults := broken(comparison, budget):
        named = ", ".join(f"{name} ({old:.1f} to {new:.1f})" for name, old, new in comparison.worst())
        raise GateError(f"budget broken on {count} pictures: {'; '.join(faults)}; worst: {named}")

"""A model against its FP32 reference: the same pictures through both, and the budget that the difference must keep.

The drop in SRCC: on rated pictures, SRCC of the reference with MOS minus SRCC of the candidate with MOS; without MOS,
1 minus the SRCC of the candidate with the reference's scores.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import ContractError, GateError, InputError
from dpiqa.export.gate.half_precision import half_engine
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import Pictures
from dpiqa.export.gate.progress import tracked
from dpiqa.export.graphs.model import read_model
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.reading import BANDS, Band, band
from dpiqa.train.loop.metrics import plcc, srcc

_NAMED = 5
Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of both models on the same pictures, float64 `[N]` in 0 to 100, and the median latency of each.

    `shapes` are those of the pictures, `HxW` each, for models of several.

    Where both name causes, `cause_agreement` is the fraction of pictures with the same strongest cause; where both draw
    a map, `map_drift` is the mean absolute difference of its cells in points.
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
    shapes: tuple[str, ...] | None = None

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
        """For each band of the reference's score that has pictures: their number, mean drift and largest drift."""
        bands = np.array([band(score) for score in self.reference])
        return {name: self._drift_of(bands == name) for _, name in BANDS if (bands == name).any()}

    def by_shape(self) -> dict[str, tuple[int, float, float]]:
        """The same for each shape, of models of several."""
        shapes = np.array(self.shapes or ())
        return {name: self._drift_of(shapes == name) for name in dict.fromkeys(self.shapes or ())}

    def _drift_of(self, part: NDArray[np.bool_]) -> tuple[int, float, float]:
        drift = np.abs(self.drift[part])
        return len(drift), float(drift.mean()), float(drift.max())

    def worst(self, count: int = _NAMED) -> list[tuple[str, float, float]]:
        """The pictures that drifted most: name, reference score, candidate score."""
        order = np.argsort(-np.abs(self.drift))[:count]
        return [(self.names[i], float(self.reference[i]), float(self.candidate[i])) for i in order]

    def metrics(self) -> dict[str, Any]:
        """Everything but the scores themselves, ready for JSON."""
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
        } | self._output_metrics()

    def _output_metrics(self) -> dict[str, float]:
        """The metrics of causes and maps."""
        metrics = {"cause_agreement": self.cause_agreement, "map_drift": self.map_drift}
        return {name: value for name, value in metrics.items() if value is not None}

    def __str__(self) -> str:
        outputs = "".join(f"  {name.replace('_', ' ')} {value:.3g}" for name, value in self._output_metrics().items())
        return (
            f"on {len(self.names)} pictures: SRCC {self.srcc:.4f}  PLCC {self.plcc:.4f}  SRCC drop {self.srcc_drop:.4f}"
            f"  mean drift {self.mean_drift:.2f}  largest {self.largest_drift:.2f} points"
            f"{outputs}  latency {self.reference_latency_ms:.0f} -> {self.candidate_latency_ms:.0f} ms"
        )


def compare_files(
    reference: Path, candidate: Path, pictures: Pictures, engine: str | None = None, progress: bool = False
) -> Comparison:
    """Compare two model files, the reference in ONNX Runtime and the candidate in `engine`; see `compare`.

    Without `engine`, it is ONNX Runtime too or, for an FP16 graph, `half_engine`.

    Raises ContractError when they do not take the same input, and whatever opening and running an engine raises.
    """
    engines = open_engine(reference, "onnxruntime"), open_engine(candidate, engine or "onnxruntime")
    if engines[0].spec.input != engines[1].spec.input:
        raise ContractError(f"{candidate}: takes another input than {reference}, they cannot be compared")
    judged = (
        half_engine(read_model(candidate)) if engine is None and engines[1].spec.precision == "fp16" else engines[1]
    )
    return compare(engines[0], judged, pictures, progress)


def compare(reference: Engine, candidate: Engine, pictures: Pictures, progress: bool = False) -> Comparison:
    """Score pictures with a reference and a candidate that take the same input.

    One picture at a time and in turn: the machine's speed drifts, and both latencies must be measured under the same
    conditions. Raises EngineError when a run fails.
    """
    scores, latency_ms = np.empty((2, len(pictures))), np.empty((2, len(pictures)))
    same_cause, map_drift = list[bool](), list[float]()
    for place in tracked(range(len(pictures)), "comparing", progress):
        predictions: list[Prediction] = []
        for row, engine in enumerate((reference, candidate)):
            began = time.perf_counter()
            predictions += engine.infer(pictures.frames[place][None])
            latency_ms[row, place] = 1000 * (time.perf_counter() - began)
            scores[row, place] = predictions[row].score
        ours, theirs = predictions
        if ours.causes is not None and theirs.causes is not None:
            same_cause.append(ours.strongest_cause() == theirs.strongest_cause())
        if ours.map is not None and theirs.map is not None:
            map_drift.append(float(np.abs(ours.map - theirs.map).mean()))
    reference_ms, candidate_ms = np.median(latency_ms, axis=1).tolist() if len(pictures) else (0.0, 0.0)
    agreement, drift = (float(np.mean(values)) if values else None for values in (same_cause, map_drift))
    return Comparison(pictures.names, scores[0], scores[1], reference_ms, candidate_ms, candidate.name, pictures.mos,
                      agreement, drift, pictures.shapes)  # fmt: skip


def violations(comparison: Comparison, budget: Budget) -> list[str]:
    """The limits of the budget that are exceeded, each in a few words; empty when it is kept."""
    limits = {
        "SRCC drop": (comparison.srcc_drop, budget.srcc_drop),
        "largest drift": (comparison.largest_drift, budget.drift),
        "mean drift": (comparison.mean_drift, budget.mean_drift),
    }
    for shape, (_, mean, _) in comparison.by_shape().items():
        limits[f"mean drift at {shape}"] = (mean, budget.mean_drift)
    return [f"{name} {value:.4g} (limit {limit:g})" for name, (value, limit) in limits.items() if not value <= limit]


def gate(comparison: Comparison, budget: Budget) -> None:
    """Pass a comparison that keeps the budget; else raise GateError, which names the limits and the worst pictures.

    Raises InputError when there are fewer pictures than the budget asks for.
    """
    count = len(comparison.names)
    if count < max(budget.pictures, 1):
        raise InputError(
            f"the gate needs at least {budget.pictures} pictures that were not used for calibration, found {count}"
        )
    if exceeded := violations(comparison, budget):
        worst = ", ".join(f"{name} ({old:.1f} to {new:.1f})" for name, old, new in comparison.worst())
        raise GateError(f"budget broken on {count} pictures: {'; '.join(exceeded)}; worst: {worst}")

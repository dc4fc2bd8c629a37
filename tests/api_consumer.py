"""A program that uses the whole public API: never run, type-checked by test_public_types.py as a user's would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpiqa import ContractError, DpiqaError, EngineError, Explanation, InputError, Reading, Scorer, Summary, native
from dpiqa import __version__ as version


def scored(picture: Path, pixels: NDArray[np.uint8]) -> list[float]:
    """Every way of scoring."""
    scorer = Scorer("dpiqa-lite0-int8", engine="onnxruntime", threads=1, max_megapixels=50, jobs=2, crop_bars=True)
    readings: Iterator[Reading] = scorer.stream(picture, fps=2)
    several: Iterator[Reading] = scorer.score_many([picture, "shots/", pixels], fps=None)
    first: Reading = scorer.score(pixels, source="mine")
    explanations: Iterator[Explanation] = scorer.explain_stream("movie.mkv", fps=0.5)
    scores: list[float] = [first.score, *(reading.score for reading in (*readings, *several))]
    for explanation in (scorer.explain(str(picture)), *explanations):
        quality: NDArray[np.float32] | None = explanation.map
        shape: tuple[int, ...] = explanation.pixels.shape
        scores.append(float(quality.min()) if quality is not None else float(shape[0]))
    return scores


def described(scorer: Scorer, reading: Reading, summary: Summary) -> str:
    """What a contract and results hold."""
    causes: dict[str, float] = reading.causes
    strongest: str = max(causes, key=lambda name: causes[name])
    size: tuple[int, int] = (scorer.spec.input.height, scorer.spec.input.width)
    place: float = summary.worst_second.pts_s + (reading.pts_s or 0.0)
    total: float = reading.latency_ms["total"]
    void: str | None = reading.void
    return f"{version} {scorer.spec.name} {size} {strongest} {place + total:.1f} {void} {reading.to_json()}"


def by_the_core(model: Path, nv12: NDArray[np.uint8]) -> tuple[float, float]:
    """The native core alone."""
    core = native.Model(model, engine="openvino", threads=1, requests=2, mode="throughput", cache="")
    one: native.Result = core.score(nv12, "nv12", "bt709-limited")
    several: list[native.Result] = core.score_many([nv12, (nv12, nv12)], "nv12", "bt709-full", ignore_void=True)
    signals: native.Signals = native.Meter().measure(nv12, "nv12", "bt709-limited")
    row: NDArray[np.uint8] = native.preprocess(nv12, 384, 384, "nv12", "bt601-full")
    return one.score + sum(result.infer_ms for result in several), signals.focus + float(row[0, 0, 0])


def opened(repository: str) -> Scorer | str:
    """Errors by their names, the base last."""
    try:
        return Scorer.from_pretrained(repository, "model.onnx", revision="v1", threads=2)
    except (ContractError, EngineError, InputError) as error:
        return str(error)
    except DpiqaError as error:
        return f"{error} ({error.exit_status})"

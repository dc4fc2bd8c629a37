"""What a checkpoint or a model file says of rated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.evaluation.options import REFERENCE
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.loop.fit import answers, predict
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.model import load_teacher


class Judged(NamedTuple):
    """What a model says of N pictures: score float64 `[N]`; where it gives them, causes by name `[N]` and map means."""

    score: np.ndarray
    causes: dict[str, np.ndarray]
    map_mean: np.ndarray | None


def score_samples(model: Path, samples: list[Sample], progress: bool = False, **how: Any) -> np.ndarray:
    """Score pictures with a checkpoint or a model file: float64 `[N]` in 0 to 100; `how` as in judge_samples."""
    return judge_samples(model, samples, progress, **how).score


def judge_samples(
    model: Path,
    samples: list[Sample],
    progress: bool = False,
    weights: str | None = None,
    batch: int = 16,
    engine: str = REFERENCE,
) -> Judged:
    """Ask a checkpoint (`.pt`) or a model file about pictures.

    A checkpoint looks at `batch` of them at once; `weights` is where the release of a diffusion teacher lies now. A
    model file runs on `engine`.
    """
    if model.suffix == ".pt":
        return _ask_checkpoint(model, samples, weights, batch)
    running = open_engine(model, engine)
    pictures = track(samples, f"scoring with {model.name}", disable=not progress)
    said = [running.infer(to_input(read_picture(sample.path), running.spec.input)[None]) for sample in pictures]
    causes = [one.causes[0] for one in said if one.causes is not None]
    means = [one.map.mean() for one in said if one.map is not None]
    return Judged(
        np.array([one.score[0] for one in said], np.float64),
        dict(zip(running.spec.causes, np.transpose(causes), strict=True)) if causes else {},
        np.array(means, np.float64) if means else None,
    )


def _ask_checkpoint(model: Path, samples: list[Sample], weights: str | None, batch: int) -> Judged:
    is_teacher = "teacher" in load_checkpoint(model)[0]
    trained, about = load_teacher(model, weights) if is_teacher else load_student(model)
    trained.to("cuda" if torch.cuda.is_available() else "cpu")
    frames = RatedFrames(samples, InputSpec(**about["input"]))
    if not isinstance(trained, Student):
        return Judged(predict(trained, frames, batch)[0], {}, None)
    found = [dict(zip(trained.outputs, outputs, strict=True)) for outputs, _ in answers(trained, frames, batch)]
    columns = {name: torch.cat([one[name] for one in found]).double().numpy() for name in trained.outputs}
    causes = dict(zip(trained.causes, columns["causes"].T, strict=True)) if "causes" in columns else {}
    return Judged(columns["score"], causes, columns["map"].mean((1, 2)) if "map" in columns else None)

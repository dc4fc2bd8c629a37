"""Predictions of a checkpoint or a model file for rated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.prediction import Prediction, scores_of
from dpiqa.runtime.preprocess import to_input
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.evaluation.options import REFERENCE
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.loop.inference import infer_batches, predict
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student, predictions
from dpiqa.train.teachers.model import load_teacher


def score_samples(model: Path, samples: list[Sample], progress: bool = False, **options: Any) -> np.ndarray:
    """The scores of predict_samples, float64 `[N]` from 0 to 100."""
    return scores_of(predict_samples(model, samples, progress, **options))


def predict_samples(
    model: Path,
    samples: list[Sample],
    progress: bool = False,
    weights: str | None = None,
    batch: int = 16,
    engine: str = REFERENCE,
) -> list[Prediction]:
    """Predictions of a checkpoint (`.pt`) or a model file.

    A checkpoint takes `batch` pictures at once; `weights` is the current path of a diffusion teacher's release. A model
    file runs on `engine`.
    """
    if model.suffix == ".pt":
        return _predict_with_checkpoint(model, samples, weights, batch)
    running = open_engine(model, engine)
    pictures = track(samples, f"scoring with {model.name}", disable=not progress)
    return [running.infer(to_input(read_picture(sample.path), running.spec.input)[None])[0] for sample in pictures]


def _predict_with_checkpoint(model: Path, samples: list[Sample], weights: str | None, batch: int) -> list[Prediction]:
    is_teacher = load_checkpoint(model)[0].teacher is not None
    trained, record = load_teacher(model, weights) if is_teacher else load_student(model)
    trained.to("cuda" if torch.cuda.is_available() else "cpu")
    frames = RatedFrames(samples, record.input)
    if not isinstance(trained, Student):
        return [Prediction(float(score)) for score in predict(trained, frames, batch)[0]]
    batches = (dict(zip(trained.outputs, outputs, strict=True)) for outputs, _ in infer_batches(trained, frames, batch))
    return [prediction for outputs in batches for prediction in predictions(outputs, trained.causes)]

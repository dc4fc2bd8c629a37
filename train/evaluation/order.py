"""Whether a model's scores fall as a distortion grows, and stay when nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.preprocess import to_input
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import LEVELS, Distortion
from dpiqa.train.loop.run import runner
from dpiqa.train.students.files import load_student

TOLERANCE = 1.0
SCENE_S, SCENE_FPS = 10, 5
ALL = "all"
_PYTORCH = f"PyTorch {torch.__version__.partition('+')[0]}"
Predict = Callable[[np.ndarray], Prediction]


def open_model(model: Path, engine: str = "auto") -> tuple[Predict, str]:
    """A checkpoint (`.pt`) or a model file as a function of a BGR picture, and the name of its engine."""
    if model.suffix == ".pt":
        student, record = load_student(model)
        return lambda image: student.predict(to_input(image, record.input)[None])[0], _PYTORCH
    running = open_engine(model, engine)
    return lambda image: running.score(np.ascontiguousarray(image)).prediction, runner(running.name)


def predict_levels(predict: Predict, image: np.ndarray, distortion: Distortion, seed: int) -> list[Prediction]:
    """Six predictions: for a picture, and for the five levels of a distortion with the same random draws."""
    images = (distortion.apply(image, level, np.random.default_rng(seed)) for level in LEVELS)
    return [predict(image), *map(predict, images)]


def still_scene(predict: Predict, image: np.ndarray, seed: int) -> float:
    """Largest deviation of a score from the mean, in points, over 10 s of a still scene with faint sensor noise."""
    noise, rng = DISTORTIONS["sensor_noise"], np.random.default_rng(seed)
    scores = np.array([predict(noise.apply(image, LEVELS[0], rng)).score for _ in range(SCENE_S * SCENE_FPS)])
    return float(np.abs(scores - scores.mean()).max())


def one_pixel_shift(predict: Predict, image: np.ndarray) -> float:
    """Largest change of the score, in points, when the view moves by one pixel in any of the eight directions."""
    height, width = (side - 2 for side in image.shape[:2])
    scores = {(y, x): predict(image[y : y + height, x : x + width]).score for y in range(3) for x in range(3)}
    return max(abs(score - scores[1, 1]) for score in scores.values())


def table(predict: Predict, images: list[np.ndarray], still: int, progress: bool = False) -> list[dict[str, Any]]:
    """One row per distortion, one per cause, the mean of all distortions, and two for the stability.

    `value` is the fraction of adjacent levels in order (level 0 is the clean picture), for a cause (only of a model
    that names causes) the fraction of distorted pictures whose strongest cause is right, and for the stability, over
    the first `still` pictures, the largest deviation in points. `cause_right` is the same fraction for one distortion,
    `cause_right_1` that at level 1.
    """
    rows = []
    for name, distortion in track(DISTORTIONS.items(), "distorting", disable=not progress):
        predictions = [predict_levels(predict, image, distortion, seed) for seed, image in enumerate(images)]
        scores = np.array([[one.score for one in levels] for levels in predictions])
        right = np.array([[one.strongest_cause() == distortion.cause for one in levels[1:]] for levels in predictions])
        in_order = (np.diff(scores) <= TOLERANCE).mean()
        row = {"measure": "order", "name": name, "cause": distortion.cause, "value": in_order}
        if predictions[0][0].causes is not None:
            row |= {"cause_right": right.mean()}
            row |= {f"cause_right_{level}": value for level, value in zip(LEVELS, right.mean(0), strict=True)}
        rows.append(row | {f"level_{level}": mean.round(2) for level, mean in enumerate(scores.mean(0))})
    means = {key: np.mean([row[key] for row in rows]) for key in rows[0] if key == "value" or "cause_right" in key}
    scenes = track(images[:still], "still scenes", disable=not progress)
    stability = {
        "still_scene_with_noise": max(still_scene(predict, image, seed) for seed, image in enumerate(scenes)),
        "one_pixel_shift": max(one_pixel_shift(predict, image) for image in images[:still]),
    }
    rows += by_cause(rows)
    rows.append({"measure": "order", "name": ALL} | means)
    return rows + [{"measure": "stability", "name": name, "value": value} for name, value in stability.items()]


def by_cause(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per cause: the fraction of pictures whose strongest cause is right, averaged over its distortions."""
    right: dict[str, list[float]] = {}
    for row in rows:
        if "cause_right" in row:
            right.setdefault(row["cause"], []).append(row["cause_right"])
    return [{"measure": "cause", "name": cause, "value": np.mean(values)} for cause, values in right.items()]

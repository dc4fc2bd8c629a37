"""Pictures, and what the shipped student in FP32 says of them in ONNX Runtime: what all else is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec

MODEL = Path(__file__).resolve().parents[2] / "models" / "dpiqa-lite0.onnx"


def made_up(count: int, spec: InputSpec) -> list[np.ndarray]:
    """Structure, noise and blur of many strengths, BGR uint8; the same on every machine with the same NumPy."""
    pictures = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coarse = rng.normal(128, 45, (5, 7, 1)) + rng.normal(0, 18, (5, 7, 3))
        smooth = cv2.resize(coarse, (spec.width, spec.height), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, rng.uniform(0, 60), (spec.height, spec.width, 1))
        grain = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.3, 4))[..., None]
        pictures.append(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    return pictures


def pictures_of(folder: Path | None, count: int, spec: InputSpec) -> tuple[list[np.ndarray], int]:
    """So many pictures, BGR: photographs as far as they go, then made-up ones; and how many are photographs."""
    files = sorted(file for file in folder.iterdir() if file.is_file())[:count] if folder and folder.is_dir() else []
    return [read_picture(str(file)) for file in files] + made_up(count - len(files), spec), len(files)


def tensor_of(pictures: list[np.ndarray], spec: InputSpec) -> np.ndarray:
    """The tensor `frames`, uint8 RGB `[N, H, W, 3]`, of BGR pictures."""
    return np.stack([to_input(picture, spec) for picture in pictures])


def reference_of(frames: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime says of them on the CPU."""
    from dpiqa.runtime.engines.onnxruntime import open_session  # late: a process that has it must not fork

    session = open_session(str(MODEL))
    names = [output.name for output in session.get_outputs()]
    rows = [session.run(names, {"frames": frames[i : i + 8]}) for i in range(0, len(frames), 8)]
    return {name: np.concatenate([np.asarray(row[n]) for row in rows]) for n, name in enumerate(names)}


def compare(name: str, actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, Any]:
    """How far apart the outputs are: scores and maps in points of 100, causes from 0 to 1."""
    row: dict[str, Any] = {"precision": name, "pictures": len(expected["score"])}
    for output, unit in (("score", "points"), ("causes", "share"), ("map", "points")):
        if output in expected:
            apart = np.abs(actual[output].astype(np.float64) - expected[output])
            row |= {f"{output}_mean_{unit}": float(apart.mean()), f"{output}_largest_{unit}": float(apart.max())}
    ranks = [scores.argsort().argsort() for scores in (actual["score"], expected["score"])]
    return row | {"score_srcc": float(np.corrcoef(ranks[0], ranks[1])[0, 1])}

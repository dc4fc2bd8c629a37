"""A contact sheet of distortions at their five levels."""

from __future__ import annotations

import cv2
import numpy as np
from rich.progress import track

from dpiqa.runtime.preprocess import resize_area
from dpiqa.train.distortions.kinds.base import LEVELS, Distortion

_LABEL = 22
_INK = (40, 40, 40)


def contact_sheet(image: np.ndarray, distortions: list[Distortion], tile: int, seed: int) -> np.ndarray:
    """One row per distortion: the picture and its five levels, each `tile` pixels wide, uint8 `[h, w, 3]` in BGR."""
    height = round(image.shape[0] * tile / image.shape[1])
    rows = []
    for distortion in track(distortions, "distorting"):
        distorted = [distortion.apply(image, level, np.random.default_rng(seed)) for level in LEVELS]
        tiles = np.hstack([resize_area(picture, height, tile) for picture in [image, *distorted]])
        label = np.full((_LABEL, tiles.shape[1], 3), 255, np.uint8)
        text, place = f"{distortion.name} ({distortion.cause})", (6, _LABEL - 7)
        cv2.putText(label, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
        rows += [label, tiles]
    return np.vstack(rows)

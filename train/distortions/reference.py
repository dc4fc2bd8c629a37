"""The size for which the strengths of distortions are defined."""

from __future__ import annotations

import numpy as np

from dpiqa.runtime.preprocess import resize_area
from dpiqa.train.distortions.kinds.base import REFERENCE_SIDE


def at_reference_size(image: np.ndarray, side: int = REFERENCE_SIDE) -> np.ndarray:
    """Resize a BGR picture so that its shorter side is `side` pixels, for which the levels are calibrated."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    return resize_area(image, max(side, round(height * scale)), max(side, round(width * scale)))

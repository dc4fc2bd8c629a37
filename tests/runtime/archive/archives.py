"""What the tests of archives are made of."""

from __future__ import annotations

import cv2
from made import photo


def photo_png(seed: int) -> bytes:
    """A small picture with structure, as a PNG."""
    return cv2.imencode(".png", photo(64, 64, seed))[1].tobytes()

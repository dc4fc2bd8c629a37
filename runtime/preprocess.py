"""The resize rule `area`, in its reference form: what training, calibration and the Python runtime all use."""

from __future__ import annotations

import math

import cv2
import numpy as np

from dpiqa.runtime.spec import InputSpec


def resize_area(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 `[h, w, 3]` to `[height, width, 3]`: per axis, shrink by area averaging, grow bilinearly.

    Half-pixel centres throughout. OpenCV falls back to bilinear on both axes when one of them grows, so a mixed
    resize takes two steps.
    """
    h, w = image.shape[:2]
    small = (min(w, width), min(h, height))
    if small != (w, h):
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    if small != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


LONGEST_SIDE = 16384  # that the native core takes


def within_reach(image: np.ndarray) -> np.ndarray:
    """Shrink a side of more than 16384 pixels to a whole part of itself, for every engine alike."""
    height, width = image.shape[:2]
    if max(height, width) <= LONGEST_SIDE:
        return image
    small = [math.ceil(side / math.ceil(side / LONGEST_SIDE)) for side in (height, width)]
    return resize_area(image, small[0], small[1])


def to_input(bgr: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Turn a BGR picture, uint8 `[h, w, 3]`, into one row of the tensor `frames`: RGB `[height, width, 3]`."""
    return cv2.cvtColor(resize_area(bgr, spec.height, spec.width), cv2.COLOR_BGR2RGB)

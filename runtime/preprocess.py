"""The resize rule `area`, in its reference form: what training, calibration and the Python runtime all use."""

from __future__ import annotations

import math

import cv2
import numpy as np

from dpiqa.runtime.planes import Planes, yuv_to_bgr
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


def within_reach(picture: Planes) -> Planes:
    """Shrink a side of more than 16384 pixels to a whole part of itself, for every engine alike."""
    height, width = picture.size
    if picture.colour is not None or max(height, width) <= LONGEST_SIDE:
        return picture
    small = [math.ceil(side / math.ceil(side / LONGEST_SIDE)) for side in (height, width)]
    return Planes((resize_area(picture.bgr, small[0], small[1]),))


def to_input(picture: np.ndarray | Planes, spec: InputSpec) -> np.ndarray:
    """Turn planes or BGR, uint8 `[h, w, 3]`, into one row of the tensor `frames`: RGB `[height, width, 3]`.

    Where the model takes several shapes, it is the one nearest to the picture's.
    """
    shape = spec.nearest(*(picture.size if isinstance(picture, Planes) else picture.shape[:2]))
    if isinstance(picture, Planes) and picture.colour is not None:
        return _resized_yuv(picture, shape.height, shape.width)
    bgr = picture.bgr if isinstance(picture, Planes) else picture
    return cv2.cvtColor(resize_area(bgr, shape.height, shape.width), cv2.COLOR_BGR2RGB)


def _resized_yuv(picture: Planes, height: int, width: int) -> np.ndarray:
    """Resize before the matrix, as the core does; a sample of chroma fills the pixels that it belongs to."""
    assert picture.colour is not None
    full, channels = picture.size[::-1], []
    for channel in picture.channels():
        if channel.shape[0] < height or channel.shape[1] < width:
            channel = cv2.resize(channel, full, interpolation=cv2.INTER_NEAREST)
        channels.append(resize_area(channel.astype(np.float32), height, width))
    return yuv_to_bgr(np.dstack(channels), picture.colour)[..., ::-1]

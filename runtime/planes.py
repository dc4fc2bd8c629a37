"""Pixels as they were decoded, and what turns them into colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Format = Literal["bgr", "gray", "i420", "nv12", "yuyv"]
Colour = Literal["bt601-limited", "bt601-full", "bt709-limited", "bt709-full"]
Plane = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Planes:
    """One picture in the layout in which it was decoded; `dpiqa.native` takes the fields as they are.

    `planes` are uint8: BGR `[h, w, 3]`, gray `[h, w]`, YUYV `[h, w, 2]`, I420 Y `[h, w]`, U and V `[h/2, w/2]`, NV12 Y
    and UV `[h/2, w/2, 2]`. Rows may be padded. `colour` is the matrix and range of YUV, None for the others. `convert`
    is a faster way to BGR than the planes' own.
    """

    planes: tuple[Plane, ...]
    format: Format = "bgr"
    colour: Colour | None = None
    convert: Callable[[], NDArray[Any]] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.planes[0].shape[:2]
        return height, width

    @cached_property
    def bgr(self) -> Plane:
        """The picture in BGR, uint8 `[h, w, 3]`."""
        if self.convert is not None:
            return np.ascontiguousarray(self.convert())
        if self.colour is None:
            (pixels,) = self.planes
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8) if self.format == "gray" else pixels
        size = self.size[::-1]
        channels = [cv2.resize(channel, size, interpolation=cv2.INTER_NEAREST) for channel in self.channels()]
        return yuv_to_bgr(np.dstack(channels), self.colour)

    def samples(self) -> list[Plane]:
        """What the picture is made of, uint8: Y, U and V, or its only plane."""
        return list(self.planes) if self.colour is None else self.channels()

    def channels(self) -> list[Plane]:
        """Y, U and V of a YUV picture, uint8, each with its own height and width."""
        if self.format == "i420":
            return list(self.planes)
        if self.format == "nv12":
            return [self.planes[0], self.planes[1][..., 0], self.planes[1][..., 1]]
        return [self.planes[0][..., 0], self.planes[0][:, ::2, 1], self.planes[0][:, 1::2, 1]]


def yuv_to_bgr(yuv: NDArray[Any], colour: Colour) -> Plane:
    """Convert Y, U and V, uint8 or float32 `[h, w, 3]` with levels 0 to 255, to BGR uint8: the matrix of the core."""
    matrix, _, extent = colour.partition("-")
    red, blue = (0.299, 0.114) if matrix == "bt601" else (0.2126, 0.0722)
    green = 1 - red - blue
    luma, chroma, black = (255 / 219, 255 / 224, 16) if extent == "limited" else (1.0, 1.0, 0)
    u, v = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    rows = np.array([[luma, u, 0], [luma, -u * blue / green, -v * red / green], [luma, 0, v]])
    offset = rows @ [-black, -128, -128]
    bgr = cv2.transform(yuv.astype(np.float32), np.column_stack([rows, offset]))
    return np.rint(np.clip(bgr, 0, 255)).astype(np.uint8)

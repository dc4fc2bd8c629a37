"""Which way up a frame is shown, and how wide its pixels are."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any, NamedTuple

import av
import cv2
from av.video.stream import VideoStream
from numpy.typing import NDArray

_MATRIX = struct.Struct("9i")
_WIDEST = 4  # what is said to be wider or narrower than this is taken for a mistake
_LONGEST_SIDE = 16384
_TURNS = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)


class Orientation(NamedTuple):
    """How to bring a frame upright: mirrored first, then turned counter-clockwise by `quarters` of a circle."""

    quarters: int = 0
    mirrored: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Bring pixels or a plane, `[h, w]` or `[h, w, c]`, upright."""
        if self.mirrored:
            pixels = cv2.flip(pixels, 1)
        turn = _TURNS[self.quarters]
        return pixels if turn is None else cv2.rotate(pixels, turn)


def orientation_of(frame: av.VideoFrame, video: VideoStream) -> Orientation:
    """How a frame is to be shown: by its display matrix, else by the tag `rotate`; to the nearest quarter."""
    side_data: Any = frame.side_data
    matrix = side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d, *_ = _MATRIX.unpack(bytes(matrix)[: _MATRIX.size])
        # Images of the axes, y downwards: (1, 0) is shown at (a, b), (0, 1) at (c, d).
        mirrored = a * d - b * c < 0
        if mirrored:
            a, b = -a, -b
        return Orientation(round(-math.atan2(b, a) / (math.pi / 2)) % 4, mirrored)
    tag = video.metadata.get("rotate", video.metadata.get("ROTATE", "0"))
    try:
        return Orientation(round(-float(tag) / 90) % 4)
    except (ValueError, OverflowError):
        return Orientation()


def square_width(width: int, height: int, aspect: Fraction | None) -> int:
    """The width of a frame with square pixels; even, so that chroma at half size fits."""
    if not aspect or aspect == 1 or not Fraction(1, _WIDEST) <= aspect <= _WIDEST:
        return width
    square = round(width * aspect / 2) * 2
    return square if 0 < square <= max(width, _LONGEST_SIDE) else width

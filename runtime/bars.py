"""Cutting the black bars off a picture that does not fill its frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.planes import Plane, Planes

LEAST_SIDE = 32
SMALLEST = 0.02  # of a side, both bars together: less is an encoder's edge
LEAST_LEFT = 0.4  # of a side: what leaves less is a dark scene
_BLACK, _BLACK_LIMITED = 12, 26  # levels of luma, with the noise of coding
_BRIGHT = 0.01  # of a row's samples may be above: ringing, a channel's logo is more
_STEP = 4  # of the samples that are looked at along a row


class BarCrop:
    """Cuts bars off the pictures of one source: the same on both sides, and never more than in any earlier picture.

    So a dark scene after a bright one loses nothing. A picture in which bars would leave too little stays whole.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._bars: tuple[int, int] | None = None  # above and below, left and right

    def crop(self, picture: Planes) -> Planes:
        """The picture without its bars, views of its planes."""
        if picture.size != self._size:
            self._size, self._bars = picture.size, None
        if (bars := bars_of(picture)) is not None:
            self._bars = bars if self._bars is None else (min(self._bars[0], bars[0]), min(self._bars[1], bars[1]))
        rows, columns = (0, 0) if bars is None or self._bars is None else self._bars
        return _cropped(picture, rows, columns) if rows or columns else picture


def bars_of(picture: Planes) -> tuple[int, int] | None:
    """Rows above and below, columns left and right, each even, that are black; None where most of the picture is."""
    luma = _luma(picture)
    limit = _BLACK_LIMITED if picture.colour is not None and picture.colour.endswith("limited") else _BLACK
    lit = luma > limit
    bars = []
    for is_dark in (lit[:, ::_STEP].mean(axis=1) <= _BRIGHT, lit[::_STEP].mean(axis=0) <= _BRIGHT):
        lit_lines = np.flatnonzero(~is_dark)
        if not len(lit_lines):
            return None
        side = len(is_dark)
        bar = min(int(lit_lines[0]), side - 1 - int(lit_lines[-1]))
        bar = bar + bar % 2 if 2 * bar > SMALLEST * side else 0
        if side - 2 * bar < max(LEAST_LEFT * side, LEAST_SIDE):
            return None
        bars.append(bar)
    return bars[0], bars[1]


def _luma(picture: Planes) -> NDArray[np.uint8]:
    first = picture.planes[0]
    if picture.format == "yuyv":
        return first[..., 0]
    return np.asarray(first.max(axis=2), np.uint8) if first.ndim == 3 else first


def _cropped(picture: Planes, rows: int, columns: int) -> Planes:
    height, width = picture.size

    def part(plane: Plane, subsampling: int) -> Plane:
        top, left = rows // subsampling, columns // subsampling
        return plane[top : -(-height // subsampling) - top, left : -(-width // subsampling) - left]

    is_subsampled = picture.format in ("i420", "nv12")
    planes = tuple(part(plane, 2 if number and is_subsampled else 1) for number, plane in enumerate(picture.planes))
    convert = picture.convert
    whole = None if convert is None else lambda: convert()[rows : height - rows, columns : width - columns]
    return Planes(planes, picture.format, picture.colour, whole)

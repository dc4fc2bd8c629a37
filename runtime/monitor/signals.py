"""Measures a frame's signals without a model: with the native core if it is installed, else with OpenCV.

All but `blockiness` are measured on the frame's luma (BT.601, full range), shrunk by area averaging to a longest side
of at most 480 pixels: fast, and close to how a person sees the whole picture. Grids do not survive shrinking, so
blockiness is measured at full size, on a central crop of at most 512 x 512 pixels aligned with the codec's grid of 8.

- `focus`: standard deviation of the Laplacian over that of the luma plus one level, each less what noise adds to it:
  the noise of the smoothest tenth of tiles of 32 x 32 pixels. Exposure does not change it.
- `clipped_low`, `clipped_high`: fractions of pixels at level 5 or below, 250 or above.
- `contrast`: from the 5th to the 95th percentile.
- `noise`: Immerkaer's estimate (1996). Fine texture counts too, and shrinking averages out fine grain.
- `blockiness`: (steps across the grid - steps elsewhere) / (their sum + one level), 0 where negative; 0 to 1.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.monitor.messages import Signals

MAX_SIDE, MIN_SIDE, CROP_SIDE, GRID = 480, 16, 512, 8
_BLACK, _WHITE = 5, 250
_TILE, _SMOOTHEST = 32, 10  # pixels, and the percentile of tiles that shows the noise without texture
_CHANCE = 1.05  # of many tiles with the same noise, a tenth show so much less
_LAPLACIAN_GAIN = 20.0  # the variance that the Laplacian gives white noise of variance 1
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class Meter(Protocol):
    """Measures the frames of one source in order, from one thread at a time."""

    def measure(self, frame_bgr: NDArray[Any]) -> Signals:
        """The signals of a frame, BGR uint8 `[h, w, 3]` with both sides at least 32.

        `difference` is None for the first frame and after a change of size.
        """
        ...


def open_meter() -> Meter:
    """The fastest meter that is installed; see NativeMeter for how closely they agree."""
    try:
        return NativeMeter()
    except ImportError:  # no native core
        return OpenCvMeter()


class NativeMeter:
    """Measures with the native core, libdpiqa; agrees with OpenCvMeter within 0.001, `focus` within 0.01.

    Raises ImportError if there is no native core.
    """

    def __init__(self) -> None:
        self._meter = import_module("dpiqa.native").Meter()

    def measure(self, frame_bgr: NDArray[Any]) -> Signals:
        """See Meter."""
        signals = self._meter.measure(frame_bgr)
        return Signals(**{field.name: getattr(signals, field.name) for field in fields(Signals)})


class OpenCvMeter:
    """Measures with OpenCV and NumPy: the reference implementation."""

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None

    def measure(self, frame_bgr: NDArray[Any]) -> Signals:
        """See Meter."""
        levels = _luma(_shrink(frame_bgr))
        luma = levels.astype(np.float32)
        laplacian = cv2.Laplacian(luma, cv2.CV_32F)[1:-1, 1:-1]
        noise = _noise(luma)
        floor = (_CHANCE * float(np.percentile(_tile_means(noise), _SMOOTHEST, method="lower"))) ** 2
        detail = max(0.0, float(laplacian.var()) - _LAPLACIAN_GAIN * floor)
        low, high = np.percentile(levels, (5, 95), method="inverted_cdf")
        previous, self._previous = self._previous, luma
        difference = None
        if previous is not None and previous.shape == luma.shape:
            difference = float(cv2.absdiff(luma, previous).mean() / 255)
        return Signals(
            focus=detail**0.5 / (max(0.0, float(luma.var()) - floor) ** 0.5 + 1),
            brightness=float(luma.mean() / 255),
            clipped_low=float((levels <= _BLACK).mean()),
            clipped_high=float((levels >= _WHITE).mean()),
            contrast=float(high - low) / 255,
            noise=float(noise.mean()) / 255,
            blockiness=_blockiness(_luma(_crop(frame_bgr)).astype(np.float32)),
            difference=difference,
        )


def _luma(bgr: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def _shrink(frame: NDArray[Any]) -> NDArray[Any]:
    height, width = frame.shape[:2]
    longest = max(height, width)
    if longest <= MAX_SIDE:
        return frame
    size = [max(MIN_SIDE, (side * MAX_SIDE * 2 + longest) // (longest * 2)) for side in (width, height)]
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _crop(frame: NDArray[Any]) -> NDArray[Any]:
    parts = []
    for side in frame.shape[:2]:
        length = min(CROP_SIDE, side // GRID * GRID)
        first = (side - length) // 2 // GRID * GRID
        parts.append(slice(first, first + length))
    return frame[parts[0], parts[1]]


def _noise(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """The noise that each pixel shows, whose mean is its standard deviation."""
    differences = np.abs(cv2.filter2D(luma, cv2.CV_32F, _IMMERKAER)[1:-1, 1:-1])
    return np.asarray(np.sqrt(np.pi / 2) / 6 * differences, np.float32)


def _tile_means(plane: NDArray[np.float32]) -> list[float]:
    edges = [[side * i // count for i in range(count + 1)] for side in plane.shape if (count := max(1, side // _TILE))]
    return [
        float(plane[top:bottom, left:right].mean())
        for top, bottom in pairwise(edges[0])
        for left, right in pairwise(edges[1])
    ]


def _blockiness(luma: NDArray[np.float32]) -> float:
    on, off = [], []
    for steps in (np.abs(np.diff(luma, axis=1)).mean(axis=0), np.abs(np.diff(luma, axis=0)).mean(axis=1)):
        is_on = np.arange(1, len(steps) + 1) % GRID == 0
        on.append(steps[is_on].mean())
        off.append(steps[~is_on].mean())
    across, elsewhere = float(np.mean(on)), float(np.mean(off))
    return max(0.0, (across - elsewhere) / (across + elsewhere + 1))

"""One frame, coarsely: what alarms compare with the frames before it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float32]  # [9, 16]
COLUMNS, ROWS = 16, 9
_SIZE = (480, 270)
_TEXTURE_SIZE = (128, 72)
_FLAT_LEVELS = 2.0  # a cell with a lower standard deviation has no detail
_GREY_LEVELS = 0.6  # a colour plane closer to grey has no colour
_IMMERKAER = np.array([1, -2, 1], np.float32)  # along either axis
_LAPLACIAN_GAIN = 20.0  # the variance that the Laplacian gives white noise of variance 1


class View:
    """One frame as 16 x 9 cells.

    `means` is the mean luma of each cell, 0 to 255; `sharpness` the mean square of its Laplacian less what noise
    contributes; `steps` the mean absolute difference from the previous view, None without one. `featureless` is the
    fraction of cells without detail, `is_grey` whether there is no colour at all.
    """

    def __init__(self, frame_bgr: NDArray[Any], previous: View | None = None) -> None:
        small = cv2.resize(frame_bgr, _SIZE, interpolation=cv2.INTER_LINEAR)
        self._luma = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        luma = self._luma.astype(np.float32)
        self.means = _by_cell(luma)
        self.steps = None if previous is None else _by_cell(cv2.absdiff(self._luma, previous._luma).astype(np.float32))
        laplacian = cv2.Laplacian(luma, cv2.CV_32F)
        noise = np.sqrt(np.pi / 2) / 6 * _by_cell(np.abs(cv2.sepFilter2D(luma, cv2.CV_32F, _IMMERKAER, _IMMERKAER)))
        floor = float(np.percentile(noise, 10))
        self.sharpness = np.maximum(0, _by_cell(laplacian * laplacian) - _LAPLACIAN_GAIN * floor * floor)
        texture = cv2.resize(luma, _TEXTURE_SIZE, interpolation=cv2.INTER_AREA)
        deviations = np.sqrt(np.maximum(0, _by_cell(texture * texture) - _by_cell(texture) ** 2))
        self.featureless = float((deviations < _FLAT_LEVELS).mean())
        colours = cv2.cvtColor(cv2.resize(small, (64, 36), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2YCrCb)
        self.is_grey = float(np.abs(colours[..., 1:].astype(np.float32) - 128).mean(axis=(0, 1)).max()) < _GREY_LEVELS


def _by_cell(plane: NDArray[Any]) -> Cells:
    return np.asarray(cv2.resize(plane, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32)

"""The scene of a camera, coarsely: whether it is still the same, and how much of it has any detail."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_COLUMNS, _ROWS, _CELL = 16, 9, 8  # cells, and pixels of a cell's side
_FLAT_LEVELS = 2.0  # a cell with a lower standard deviation has no detail
_MIN_SCENE_LEVELS = 1.0  # with a lower standard deviation between cells, there is no scene to recognise


class View:
    """One frame, shrunk to 16 x 9 cells of 8 x 8 pixels of luma.

    `featureless` is the fraction of cells without detail; `scene` is float64 `[144]` with mean 0 and length 1, None if
    the whole frame is flat.
    """

    def __init__(self, frame_bgr: NDArray[Any]) -> None:
        size = (_COLUMNS * _CELL, _ROWS * _CELL)
        luma = cv2.cvtColor(cv2.resize(frame_bgr, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
        cells = luma.reshape(_ROWS, _CELL, _COLUMNS, _CELL).astype(np.float64)
        self.featureless = float((cells.std(axis=(1, 3)) < _FLAT_LEVELS).mean())
        means = cells.mean(axis=(1, 3)).ravel()
        means -= means.mean()
        is_flat = means.std() < _MIN_SCENE_LEVELS
        self.scene: NDArray[np.float64] | None = None if is_flat else means / np.linalg.norm(means)


class SceneWatch:
    """Learns the scene that a camera has settled on, and compares frames with it.

    A scene settles when it stays the same, with a correlation of at least `same`, for `settle_s`.
    """

    def __init__(self, settle_s: float, same: float) -> None:
        self._settle_s, self._same = settle_s, same
        self._settled: NDArray[np.float64] | None = None
        self._latest: tuple[float, NDArray[np.float64]] | None = None

    def likeness(self, now_s: float, scene: NDArray[np.float64] | None) -> float | None:
        """The correlation, -1 to 1, of a scene with the settled one, None where either is missing."""
        if scene is None:
            self._latest = None
            return None
        if self._latest is None or float(scene @ self._latest[1]) < self._same:
            self._latest = now_s, scene
        elif now_s - self._latest[0] >= self._settle_s:
            self._settled, self._latest = scene, (now_s, scene)  # follows slow changes of light
        return None if self._settled is None else float(scene @ self._settled)

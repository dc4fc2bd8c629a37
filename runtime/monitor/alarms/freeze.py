"""Whether a picture stands still, in spite of a clock in it and of key frames."""

from __future__ import annotations

import numpy as np

from dpiqa.runtime.monitor.alarms.view import ROWS, Cells
from dpiqa.runtime.monitor.settings.alarms import Frozen

_OVERLAY_ROWS = (0, 1, ROWS - 2, ROWS - 1)
_OVERLAY_CELLS = 12
_FULL_SCALE = 255.0
_LIVING_CELLS, _LIVING_FACTOR = 2, 4.0  # cells that move this much more than a still picture's show life


class Stillness:
    """Judges the steps from frame to frame; what lies between still and moving is as before."""

    def __init__(self, settings: Frozen) -> None:
        self._settings = settings
        self._is_still = False

    def judge(self, steps: Cells) -> tuple[bool, float]:
        """Whether the picture stands still, and the mean difference outside of an overlay, 0 to 1."""
        outside = self._without_overlay(steps / _FULL_SCALE)
        difference = float(outside.mean())
        living = int((outside > _LIVING_FACTOR * self._settings.moving).sum())
        if difference >= self._settings.moving or living >= _LIVING_CELLS:
            self._is_still = False
        elif difference <= self._settings.still:
            self._is_still = True
        return self._is_still, difference

    def _without_overlay(self, steps: Cells) -> Cells:
        border = steps[list(_OVERLAY_ROWS)].ravel()
        middle = np.delete(steps, _OVERLAY_ROWS, axis=0).ravel()
        return np.concatenate([np.sort(border)[:-_OVERLAY_CELLS], middle])

"""Picking frames by their time."""

from __future__ import annotations

import math

from dpiqa.errors import InputError

_ROUNDING_S = 0.001  # Matroska and FLV store times in whole milliseconds


class Sampler:
    """Picks at most `fps` frames per second by presentation time, so that a variable frame rate is no problem."""

    def __init__(self, fps: float | None) -> None:
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise InputError(f"fps must be above 0, found {fps:g}")
        self._step_s = 1 / fps if fps else None
        self._due_s: float | None = None

    def takes(self, pts_s: float) -> bool:
        """Whether to take the frame shown at `pts_s`, which must be later than all frames before it."""
        if self._step_s is None:
            return True
        due_s = pts_s if self._due_s is None else self._due_s
        if pts_s + _ROUNDING_S < due_s:
            return False
        missed = max(0.0, pts_s - due_s) // self._step_s
        self._due_s = due_s + self._step_s * (missed + 1)
        return True

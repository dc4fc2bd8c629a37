"""Small pictures of scored frames, for people to look at."""

from __future__ import annotations

from time import monotonic
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.monitor.messages import LiveReading, Snapshot

_WIDTH, _LARGE_WIDTH = 320, 1280
_JPEG_QUALITY = 75
_INTERVAL_S = 1.0
HOUR_S = 3600


class Snapshots:
    """Selects frames of one source to show: one per second, and of each hour the worst that shows anything."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._hour, self._lowest = 0, 0.0

    def take(
        self, reading: LiveReading, frame_bgr: NDArray[Any], quality_map: NDArray[np.float32] | None
    ) -> Snapshot | None:
        """A snapshot of a frame, uint8 `[h, w, 3]`, None if none is due. The map is float32 `[h, w]`, 0 to 100."""
        now_s, hour = monotonic(), int(reading.wall_time // HOUR_S)
        is_worst = reading.void is None and (hour != self._hour or reading.score < self._lowest)
        if not is_worst and now_s < self._due_s:
            return None
        if is_worst:
            self._hour, self._lowest = hour, reading.score
        self._due_s = now_s + _INTERVAL_S
        jpeg = jpeg_thumbnail(frame_bgr)
        return Snapshot(reading.source, reading.wall_time, reading.score, jpeg, quality_map, reading.void)


def jpeg_thumbnail(frame_bgr: NDArray[Any]) -> bytes:
    """A frame, BGR uint8 `[h, w, 3]`, as a JPEG at most 320 pixels wide."""
    return _jpeg(frame_bgr, _WIDTH)


def jpeg_picture(frame_bgr: NDArray[Any]) -> bytes:
    """A frame, BGR uint8 `[h, w, 3]`, as a JPEG at most 1280 pixels wide."""
    return _jpeg(frame_bgr, _LARGE_WIDTH)


def _jpeg(frame_bgr: NDArray[Any], max_width: int) -> bytes:
    height, width = frame_bgr.shape[:2]
    scale = min(1.0, max_width / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame_bgr, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()

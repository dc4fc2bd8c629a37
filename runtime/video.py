"""Decoding video files, frame by frame, with the time at which each frame is shown."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dpiqa.errors import InputError, unreadable

log = logging.getLogger(__name__)

_TEXT_BYTES = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f\x1b")
_ROUNDING_S = 0.001  # Matroska and FLV store times in whole milliseconds
_ENDS_EARLY = 0.9


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source: BGR uint8 `[h, w, 3]`, its number from 0, its presentation time (None for a picture)."""

    pixels: np.ndarray
    source: str
    index: int = 0
    pts_s: float | None = None


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


def read_video(path: str, fps: float | None = None) -> Iterator[Frame]:
    """Decode a video file lazily, one frame in memory at a time, `fps` frames per second of video (None for all).

    Presentation times always increase: where the file has none, they follow from its frame rate. Raises InputError for
    a file that is not a video or has no frame; a video that ends long before its header says is logged as a warning.
    """
    sampler = Sampler(fps)
    capture = _open(path)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        interval = 1 / rate if math.isfinite(rate) and rate > 0 else 1 / 25
        index, shown, pts = 0, 0, -interval
        while capture.grab():
            stored = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            pts = stored if stored > pts else pts + interval
            if sampler.takes(pts):
                decoded, pixels = capture.retrieve()
                if decoded:
                    shown += 1
                    yield Frame(pixels, path, index, pts)
            index += 1
        if shown == 0:
            raise InputError(f"{path}: no frame of this video can be decoded")
        expected = capture.get(cv2.CAP_PROP_FRAME_COUNT) * interval
        if pts + interval < expected * _ENDS_EARLY:
            log.warning("%s: ends after %.1f of %.1f s, it was trimmed or is damaged", path, pts + interval, expected)
    finally:
        capture.release()


def announced_duration_s(path: str) -> float:
    """How long the header says that a video is, 0 where it does not say. Raises InputError like `read_video`."""
    capture = _open(path)
    try:
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return max(0.0, count / rate) if math.isfinite(rate) and rate > 0 else 0.0
    finally:
        capture.release()


def _open(path: str) -> cv2.VideoCapture:
    refusal = InputError(f"{path}: not a video that can be decoded")
    try:
        path.encode()  # OpenCV crashes on a name that is not UTF-8
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(1024)
    except UnicodeEncodeError:
        raise InputError(f"{path!a}: the name of a video must be valid UTF-8, rename it") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not head:
        raise InputError(f"{path}: the file is empty")
    if _TEXT_BYTES.issuperset(head):  # FFmpeg draws text as video, and opens what a playlist names
        raise refusal
    # An absolute path, because FFmpeg takes `name:` at the start of a relative one for a protocol.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)  # noqa: PTH100
    if not capture.isOpened():
        raise refusal
    return capture

"""Reads one source in its own thread and tracks its state."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any

from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.backoff import Backoff
from dpiqa.runtime.monitor.messages import SourceState, Status
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.sources import open_source
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.pictures import check_size
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.video import Sampler

log = logging.getLogger(__name__)

_BEHIND = 0.8  # of the scores asked for
_MAX_CHANGES = 100  # pending status changes


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame to score.

    `wall_time` (Unix) and `arrived_s` (monotonic) are its arrival, `ready_s` (monotonic) is when it was decoded and
    converted, which took `decode_s` seconds; for the other fields see LiveReading.
    """

    picture: Planes
    pts_s: float | None
    index: int
    wall_time: float
    arrived_s: float
    ready_s: float
    decode_s: float

    @property
    def pixels(self) -> NDArray[Any]:
        """The picture in BGR, uint8 `[h, w, 3]`."""
        return self.picture.bgr


class Camera:
    """Reads one source from `start` to `stop`, holds the next frame to score, and tracks the source's state.

    A live source is reopened until it comes back; any other is `finished` at its end. `wake` is called from the
    reader's thread when there is something to take; `wall_clock` returns Unix seconds, only for labels: it may jump.
    """

    def __init__(self, settings: CameraSettings, wake: Callable[[], None], wall_clock: Callable[[], float]) -> None:
        self.settings, self.name = settings, settings.label
        self._wake, self._wall_clock = wake, wall_clock
        self._sampler = Sampler(settings.fps)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._frame: LiveFrame | None = None
        self._state: SourceState = "connecting"
        self._reason = "not opened yet"
        self._changes: deque[Status] = deque(maxlen=_MAX_CHANGES)
        self._last_frame_s = monotonic()
        self._index = self._connections = self._dropped = self._scored = 0
        self._last_count: tuple[float, int, int] | None = None  # monotonic seconds, frames scored and dropped
        self._is_behind = False
        self._thread = threading.Thread(target=self._run, name=f"reader of {self.name}", daemon=True)

    @property
    def reader_id(self) -> int | None:
        """The system's identifier of the reader's thread, None before it runs."""
        return self._thread.native_id

    @property
    def finished(self) -> bool:
        """Whether the source has ended and everything from it was taken."""
        return not self._thread.is_alive() and self._frame is None and not self._changes

    @property
    def delivered(self) -> bool:
        """Whether there has been a frame."""
        return self._index > 0

    @property
    def has_frame(self) -> bool:
        """Whether a frame is waiting to be scored."""
        return self._frame is not None

    def start(self) -> None:
        """Start reading."""
        self._set("connecting", f"opening {self.settings.kind} source")
        self._thread.start()

    def stop(self) -> None:
        """Stop the reader; it ends within the read timeout, `join` waits for it."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader to end; returns whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self) -> LiveFrame | None:
        """Take the frame to score; call `count_scored` once it is scored."""
        with self._changed:
            frame, self._frame = self._frame, None
            self._changed.notify_all()
        return frame

    def count_scored(self) -> None:
        """Count a scored frame."""
        self._scored += 1

    def changes(self) -> list[Status]:
        """The state changes since the last call, oldest first; also checks whether the source has stalled."""
        silent_s = monotonic() - self._last_frame_s
        with self._changed:
            if self._state == "up" and self.settings.is_live and silent_s > self.settings.stall_s:
                self._note("stalled", f"no frame for {self.settings.stall_s:g} s")
            changes = list(self._changes)
            self._changes.clear()
        return changes

    def status(self) -> Status:
        """The current status, with the rate since the last call."""
        now_s = monotonic()
        before_s, scored, dropped = self._last_count or (now_s, self._scored, self._dropped)
        self._last_count = (now_s, self._scored, self._dropped)
        fps = (self._scored - scored) / (now_s - before_s) if now_s > before_s else None
        self._compare_with_target(fps, self._dropped > dropped)
        with self._changed:
            return self._as_status(fps)

    def _compare_with_target(self, fps: float | None, has_dropped: bool) -> None:
        """Log once that the engine cannot keep up, and once that it can again."""
        if fps is None or self.settings.fps is None:
            return
        is_behind = has_dropped and fps < _BEHIND * self.settings.fps
        if is_behind and not self._is_behind:
            log.warning("%s: asked %.1f, given %.1f scores/s", self.name, self.settings.fps, fps)
        elif self._is_behind and not is_behind:
            log.info("%s: keeps up again, %.1f scores/s", self.name, fps)
        self._is_behind = is_behind

    def _run(self) -> None:
        backoff = Backoff(self.settings.reconnect_ceiling_s)
        while not self._stopping.is_set():
            start_s = monotonic()
            state: SourceState = "down"
            try:
                reason = self._read()
                state = "ended" if self.settings.is_finite else "down"
            except InputError as error:
                reason = str(error)
            except Exception as error:  # retry rather than let the reader die silently
                log.exception("%s: reader failed", self.name)
                reason = f"unexpected {type(error).__name__}"
            if self._stopping.is_set():
                return
            self._set(state, reason)
            if self.settings.is_finite:
                return
            self._stopping.wait(backoff.delay_s(monotonic() - start_s))

    def _read(self) -> str:
        opened = False
        with closing(open_source(self.settings)) as grabs:
            for grab in grabs:
                if self._stopping.is_set():
                    return "stopped"
                silent_s, self._last_frame_s = monotonic() - self._last_frame_s, monotonic()
                # After a stall one frame is not enough: FFmpeg may hold one back until it gives up the connection.
                if self._state != "up" and not (self._state == "stalled" and silent_s > self.settings.stall_s):
                    self._connections += not opened
                    opened = True
                    self._set("up", "watching the folder" if self.settings.kind == "folder" else "frames arrive")
                if grab is not None:
                    self._offer(grab)
        if not self.settings.is_live:
            self._wait_for_room()
        return "source ended"

    def _offer(self, grab: Grab) -> None:
        arrived_s, wall_time, index = self._last_frame_s - grab.decode_s, self._wall_clock(), self._index
        self._index += 1
        due = grab.pts_s if grab.pts_s is not None and self.settings.is_finite else self._last_frame_s
        if self.settings.kind != "folder" and not self._sampler.takes(due):
            return
        began_s = monotonic()
        pixels = grab.pixels()
        picture = pixels if isinstance(pixels, Planes) else Planes((pixels,))
        check_size(picture.planes[0], "the picture")
        _ = picture.bgr  # for signals and snapshots; here, other threads score meanwhile
        ready_s = monotonic()
        decode_s = grab.decode_s + ready_s - began_s
        frame = LiveFrame(picture, grab.pts_s, index, wall_time, arrived_s, ready_s, decode_s)
        with self._changed:
            if self.settings.is_live:
                self._dropped += self._frame is not None
            else:
                self._wait_for_room()
            self._frame = frame
        self._wake()

    def _wait_for_room(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._frame is None or self._stopping.is_set())

    def _set(self, state: SourceState, reason: str) -> None:
        with self._changed:
            if (state, reason) == (self._state, self._reason):
                return
            self._note(state, reason)
        self._wake()

    def _note(self, state: SourceState, reason: str) -> None:
        level = logging.WARNING if state in ("stalled", "down") else logging.INFO
        log.log(level, "%s: %s, %s", self.name, state, reason)
        self._state, self._reason = state, reason
        self._changes.append(self._as_status(None))

    def _as_status(self, fps: float | None) -> Status:
        return Status(
            self.name,
            self._state,
            self._reason,
            self._wall_clock(),
            max(0, self._connections - 1),
            self._dropped,
            self._scored,
            fps,
            asked_fps=self.settings.fps if self.settings.is_live else None,
            group=self.settings.group,
        )

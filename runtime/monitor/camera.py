"""One source, read by a thread of its own, and the state that it is in."""

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
from dpiqa.runtime.monitor.settings.cameras import CameraConfig
from dpiqa.runtime.monitor.sources import open_source
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.pictures import check_size
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.video import Sampler

log = logging.getLogger(__name__)

_MAX_CHANGES = 100  # states that nobody asked for yet


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame to score.

    `wall_time` (Unix) and `arrived_s` (monotonic) are when it arrived, `ready_s` (monotonic) when it was decoded and
    converted, which took `decode_s` seconds; for the rest see LiveReading.
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
    """Reads one source from `start` to `stop`, holds the frame to score next, and keeps account of the source's state.

    A live source that is lost is opened again until it comes back; another one is `finished` at its end. `wake` is
    called from the reader's thread when there is something to take; `wall_clock` gives Unix seconds, for labels only:
    it may jump.
    """

    def __init__(self, config: CameraConfig, wake: Callable[[], None], wall_clock: Callable[[], float]) -> None:
        self.config, self.name = config, config.label
        self._wake, self._wall_clock = wake, wall_clock
        self._sampler = Sampler(config.fps)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._frame: LiveFrame | None = None
        self._state: SourceState = "connecting"
        self._reason = "not opened yet"
        self._changes: deque[Status] = deque(maxlen=_MAX_CHANGES)
        self._seen_s = monotonic()
        self._index = self._connections = self._dropped = self._scored = 0
        self._told: tuple[float, int] | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader of {self.name}", daemon=True)

    @property
    def reader_id(self) -> int | None:
        """The system's number of the reader's thread, None before it runs."""
        return self._thread.native_id

    @property
    def finished(self) -> bool:
        """Whether the source has ended, and all that it gave was taken."""
        return not self._thread.is_alive() and self._frame is None and not self._changes

    @property
    def delivered(self) -> bool:
        """Whether there ever was a frame."""
        return self._index > 0

    @property
    def has_frame(self) -> bool:
        """Whether a frame waits to be scored."""
        return self._frame is not None

    def start(self) -> None:
        """Begin to read."""
        self._set("connecting", f"opening {self.config.kind} source")
        self._thread.start()

    def stop(self) -> None:
        """Tell the reader to end; it does within the read timeout, `join` waits for that."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader to end; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self) -> LiveFrame | None:
        """The frame to score now; one that is scored is to be counted with `count_scored`."""
        with self._changed:
            frame, self._frame = self._frame, None
            self._changed.notify_all()
        return frame

    def count_scored(self) -> None:
        """Count a frame that was scored."""
        self._scored += 1

    def changes(self) -> list[Status]:
        """The changes of state since the last call, oldest first; also looks whether the source has stalled."""
        silent_s = monotonic() - self._seen_s
        with self._changed:
            if self._state == "up" and self.config.is_live and silent_s > self.config.stall_s:
                self._note("stalled", f"no frame for {self.config.stall_s:g} s")
            taken = list(self._changes)
            self._changes.clear()
        return taken

    def status(self) -> Status:
        """How the source is now, with the rate since the last call."""
        now_s = monotonic()
        before_s, before = self._told or (now_s, self._scored)
        self._told = (now_s, self._scored)
        fps = (self._scored - before) / (now_s - before_s) if now_s > before_s else None
        with self._changed:
            return self._as_status(fps)

    def _run(self) -> None:
        backoff = Backoff(self.config.reconnect_ceiling_s)
        while not self._stopping.is_set():
            began_s = monotonic()
            try:
                reason = self._read()
            except InputError as error:
                reason = str(error)
            except Exception as error:  # a reader that dies silently would be worse than one that retries
                log.exception("%s: the reader failed", self.name)
                reason = f"unexpected {type(error).__name__}"
            if self._stopping.is_set():
                return
            self._set("down", reason)
            if self.config.is_finite:
                return
            self._stopping.wait(backoff.after(monotonic() - began_s))

    def _read(self) -> str:
        opened = False
        with closing(open_source(self.config)) as grabs:
            for grab in grabs:
                if self._stopping.is_set():
                    return "stopped"
                silent_s, self._seen_s = monotonic() - self._seen_s, monotonic()
                # After a stall one frame is not enough: FFmpeg may keep one back until the connection is given up.
                if self._state != "up" and not (self._state == "stalled" and silent_s > self.config.stall_s):
                    self._connections += not opened
                    opened = True
                    self._set("up", "watching" if grab is None else "frames arrive")
                if grab is not None:
                    self._offer(grab)
        if not self.config.is_live:
            self._wait_for_room()
        return "it ended"

    def _offer(self, grab: Grab) -> None:
        arrived_s, wall_time, index = self._seen_s - grab.decode_s, self._wall_clock(), self._index
        self._index += 1
        due = grab.pts_s if grab.pts_s is not None and self.config.is_finite else self._seen_s
        if self.config.kind != "folder" and not self._sampler.takes(due):
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
            if self.config.is_live:
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
        )

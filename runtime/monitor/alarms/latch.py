"""Keeps alarms from flapping: hold times, and a clock that does not follow the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_MAX_STEP_S = 60.0
_CATCH_UP_S = 2.0


class StreamClock:
    """Seconds elapsed in a stream: by its presentation times while they advance, else by the monotonic clock.

    So a file that is read faster than real time has its own time, and neither a stream that restarts nor one without
    time stamps stops the clock. It never goes back. Time stamps of a live stream count only while they run ahead of the
    monotonic clock by no more than frames delayed in the network explain: a camera's clock may jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, is_live: bool = False) -> None:
        self._clock, self._is_live = clock, is_live
        self._now_s = 0.0
        self._read_s: float | None = None
        self._pts_s: float | None = None

    def at(self, pts_s: float | None) -> float:
        """The time of a frame, in seconds since the first one."""
        read_s = self._clock()
        step_s = 0.0 if self._read_s is None else max(0.0, read_s - self._read_s)
        max_step_s = step_s + _CATCH_UP_S if self._is_live else _MAX_STEP_S
        if pts_s is not None and self._pts_s is not None and 0 < pts_s - self._pts_s <= max_step_s:
            step_s = pts_s - self._pts_s
        self._read_s, self._pts_s = read_s, pts_s
        self._now_s += step_s
        return self._now_s


@dataclass(frozen=True)
class Moment:
    """The time of a frame: in the stream, by the wall clock (Unix seconds), by its presentation time, and monotonic."""

    stream_s: float
    wall_time: float
    pts_s: float | None = None
    arrived_s: float | None = None

    def later(self, other: Moment) -> float:
        """When a later moment was, Unix seconds, by the wall clock as it went here: it may have been set since."""
        if self.arrived_s is None or other.arrived_s is None:
            return max(self.wall_time, other.wall_time)
        return self.wall_time + max(0.0, other.arrived_s - self.arrived_s)


class Latch:
    """Raised once a condition held for `hold_s`, cleared once its opposite held for `release_s`.

    `began` is the first moment of the condition that last raised it, `ended` that of its end.
    """

    def __init__(self, hold_s: float, release_s: float) -> None:
        self._hold_s, self._release_s = hold_s, release_s
        self.is_raised = False
        self.began: Moment | None = None
        self.ended: Moment | None = None
        self._since: Moment | None = None

    def step(self, now: Moment, is_bad: bool | None) -> Literal["raised", "cleared"] | None:
        """Apply the next verdict and return the change it causes; None (undecided) changes nothing."""
        if is_bad is self.is_raised or is_bad is None:
            self._since = None
            return None
        self._since = self._since or now
        if now.stream_s - self._since.stream_s < (self._release_s if self.is_raised else self._hold_s):
            return None
        began, self._since = self._since, None
        self.is_raised = not self.is_raised
        if self.is_raised:
            self.began, self.ended = began, None
            return "raised"
        self.ended = began
        return "cleared"

    def clear(self, now: Moment) -> None:
        """Clear at once, whatever the condition."""
        self.is_raised, self.ended, self._since = False, now, None

    def resume(self, began: Moment) -> None:
        """Be raised since a moment before a restart."""
        self.is_raised, self.began, self.ended, self._since = True, began, None, None

    def interrupt(self) -> None:
        """Cancel a pending change: frames are missing."""
        self._since = None

"""Mutes the events of one camera: for a time, at a person's request, or in its maintenance windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dpiqa.runtime.monitor.messages import Event
from dpiqa.runtime.monitor.settings.maintenance import MaintenanceWindow

MAINTENANCE = "maintenance"
_JUMP_S = 5.0  # of the wall clock


class Mute(NamedTuple):
    """Until when a camera is muted, Unix seconds, and who muted it."""

    until: float
    by: str


class Muting:
    """Whether a camera is muted, and which of its events are; times are Unix seconds.

    A mute lasts as long as it was meant to by `clock`, monotonic seconds, where the wall clock is set meanwhile. A
    maintenance window follows the wall clock.
    """

    def __init__(self, windows: Sequence[MaintenanceWindow], clock: Callable[[], float] = time.monotonic) -> None:
        self._windows, self._clock = windows, clock
        self._mute: Mute | None = None
        self._ahead_s = 0.0  # how far the wall clock is ahead of the other
        self._unmuted_until = 0.0  # a person may end a maintenance window early
        self._held: dict[str, Event] = {}

    def mute(self, now: float, until: float, by: str) -> None:
        """Mute it from now on."""
        self._follow(now)
        self._mute = Mute(until, by)

    def unmute(self, now: float) -> None:
        """Mute it no longer; a maintenance window that lasts is over for this time."""
        self._mute = None
        if (current := self.current(now)) is not None:
            self._unmuted_until = current.until

    def current(self, now: float) -> Mute | None:
        """What mutes it at that time, None where nothing does."""
        self._follow(now)
        if self._mute is not None and now < self._mute.until:
            return self._mute
        ends = [end for window in self._windows if (end := window.end_at(now)) is not None]
        if not ends or now < self._unmuted_until:
            return None
        return Mute(max(ends), MAINTENANCE)

    def mark(self, now: float, events: Iterable[Event]) -> list[Event]:
        """The events as they are to be sent: those raised while it is muted are muted, and so is their end.

        An event that outlasts the mute is raised again without.
        """
        is_muted = self.current(now) is not None
        marked = []
        if self._held and not is_muted:
            marked = [replace(event, muted=False) for event in self._held.values()]
            self._held.clear()
        for event in events:
            if event.state == "raised" and is_muted:
                event = self._held[event.kind] = replace(event, muted=True)
            elif event.state == "cleared" and event.kind in self._held:
                del self._held[event.kind]
                event = replace(event, muted=True)
            marked.append(event)
        return marked

    def to_json(self) -> dict[str, Any]:
        """What to keep over a restart."""
        return {"mute": self._mute, "unmuted_until": self._unmuted_until}

    def restore(self, document: dict[str, Any], now: float) -> None:
        """Take over what was kept; what is not understood is left out."""
        try:
            mute = document["mute"]
            self._mute = None if mute is None else Mute(float(mute[0]), str(mute[1]))
            self._unmuted_until = float(document["unmuted_until"])
            self._ahead_s = now - self._clock()
        except (KeyError, TypeError, ValueError, IndexError):
            pass

    def _follow(self, now: float) -> None:
        """Move the end of a mute with a wall clock that was set."""
        ahead_s = now - self._clock()
        jump_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if self._mute is not None and abs(jump_s) > _JUMP_S:
            self._mute = self._mute._replace(until=self._mute.until + jump_s)

"""The latest state of every camera, from its messages."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import monotonic, time

from dpiqa.runtime.monitor.dashboard.schema import Camera, OpenEvent
from dpiqa.runtime.monitor.evidence import describe, title
from dpiqa.runtime.monitor.messages import Action, Event, LiveReading, Message, Snapshot, Status
from dpiqa.runtime.reading import printable

_STATE_TROUBLE = {"down": 1000.0, "stalled": 900.0, "connecting": 300.0, "up": 0.0}
_SHOWS_NOTHING = ("down", "connecting", "ended")  # an old score would pass for a new one
_EVENT_TROUBLE = 100.0
_JUMP_S = 30.0  # of the wall clock


@dataclass
class _Latest:
    status: Status
    since: float  # Unix seconds
    fps: float | None = None
    reading: LiveReading | None = None
    snapshot: Snapshot | None = None
    events: dict[str, Event] = field(default_factory=dict)
    acknowledged: dict[str, Action] = field(default_factory=dict)  # by kind of event
    ahead_s: float = field(default_factory=lambda: time() - monotonic())  # of the wall clock, at `since`


class Board:
    """Takes messages from one thread and is read by any other."""

    def __init__(self) -> None:
        self._latest: dict[str, _Latest] = {}
        self._lock = threading.Lock()

    def apply(self, messages: Sequence[Message]) -> None:
        """Apply messages, oldest first."""
        with self._lock:
            for message in messages:
                self._apply(message)

    def cameras(self) -> list[Camera]:
        """All cameras, the one in most trouble first."""
        with self._lock:
            cameras = [_camera(latest) for latest in self._latest.values()]
        return sorted(cameras, key=lambda camera: (-camera.trouble, camera.source))

    def snapshot(self, source: str) -> Snapshot | None:
        """The latest picture of a camera, None if there is none."""
        with self._lock:
            latest = self._latest.get(source)
        return latest.snapshot if latest else None

    def _apply(self, message: Message) -> None:
        source = printable(message.source)
        latest = self._latest.get(source)
        if isinstance(message, Status):
            if message.state == "removed":
                self._latest.pop(source, None)
            elif latest is None:
                self._latest[source] = _Latest(message, message.wall_time, message.fps)
            else:
                if latest.status.state != message.state:
                    latest.since, latest.ahead_s = message.wall_time, time() - monotonic()
                latest.status = message
                latest.fps = latest.fps if message.fps is None else message.fps
            return
        if latest is None:  # reopened while cameras are monitored: their status follows within seconds
            status = Status(message.source, "up", "frames arrive", message_time(message), 0, 0, 0)
            latest = self._latest[source] = _Latest(status, status.wall_time)
        if isinstance(message, LiveReading):
            latest.reading = message
        elif isinstance(message, Snapshot):
            latest.snapshot = message
        elif isinstance(message, Action):
            if message.action == "acknowledge":
                kinds = latest.events if message.kind is None else latest.events.keys() & {message.kind}
                latest.acknowledged |= dict.fromkeys(kinds, message)
        elif message.state == "raised":
            latest.events[message.kind] = message
        else:
            latest.events.pop(message.kind, None)
            latest.acknowledged.pop(message.kind, None)


def message_time(message: Message) -> float:
    """The time of a message, Unix seconds."""
    return message.began if isinstance(message, Event) else message.wall_time


def _camera(latest: _Latest) -> Camera:
    status, reading, snapshot = latest.status, latest.reading, latest.snapshot
    events = [_open_event(event, latest.acknowledged.get(event.kind)) for event in latest.events.values()]
    latest_fields = {}
    if reading is not None:
        latest_fields = {name: getattr(reading, name) for name in ("wall_time", "baseline", "width", "height")}
        if status.state not in _SHOWS_NOTHING:
            names = ("score", "band", "void", "causes", "latency_ms")
            latest_fields |= {name: getattr(reading, name) for name in names} | {"signals": asdict(reading.signals)}
    return Camera(
        source=printable(status.source),
        state=status.state,
        reason=status.reason,
        since=_since(latest),
        trouble=_trouble(latest),
        events=sorted(events, key=lambda event: event.began),
        reconnects=status.reconnects,
        dropped=status.dropped,
        scored=status.scored,
        fps=latest.fps,
        asked_fps=status.asked_fps,
        snapshot_time=snapshot.wall_time if snapshot else None,
        has_map=snapshot is not None and snapshot.map is not None,
        group=status.group,
        muted_until=status.muted_until,
        muted_by=status.muted_by,
        **latest_fields,
    )


def _since(latest: _Latest) -> float:
    """Since when a camera is in its state, by the clock as it goes now: it may have been set meanwhile."""
    jump_s = time() - monotonic() - latest.ahead_s
    return latest.since + jump_s if abs(jump_s) > _JUMP_S else latest.since


def _open_event(event: Event, acknowledgement: Action | None) -> OpenEvent:
    return OpenEvent(
        kind=event.kind,
        began=event.began,
        evidence=event.evidence,
        title=title(event.kind, event.evidence),
        text=describe(event.kind, event.evidence),
        muted=event.muted,
        acknowledged_by=acknowledgement.by if acknowledgement else None,
        acknowledged=acknowledgement.wall_time if acknowledgement else None,
    )


def _trouble(latest: _Latest) -> float:
    """In coarse steps below an event's weight, so that healthy cameras do not keep swapping places."""
    if latest.status.muted_until is not None:
        return 0.0
    events = [event for kind, event in latest.events.items() if not event.muted and kind not in latest.acknowledged]
    state = 0.0 if "SignalLoss" in latest.acknowledged else _STATE_TROUBLE.get(latest.status.state, 0.0)
    trouble = state + _EVENT_TROUBLE * len(events)
    if latest.reading is not None and latest.status.state not in _SHOWS_NOTHING:
        score, baseline = latest.reading.score, latest.reading.baseline
        drop = 0.0 if baseline is None else max(0.0, baseline - score)
        trouble += drop // 10 * 10 + (100 - score) // 20
    return trouble

"""Monitors many sources with one engine: which frame is scored next, and which sinks get the messages."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic, perf_counter

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.alarms.kept import MemoryFile
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.camera import Camera, LiveFrame
from dpiqa.runtime.monitor.messages import Event, LiveReading, Message, Sink, Status
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.monitor.snapshots import Snapshots
from dpiqa.runtime.prediction import Floats
from dpiqa.runtime.preprocess import within_reach
from dpiqa.runtime.reading import band
from dpiqa.runtime.void import void_of

log = logging.getLogger(__name__)

_POLL_S = 0.1  # how long a signal, a stall or a request may go unnoticed
_SHUTDOWN_S = 0.5
_KEEP_S = 60.0


class _Channel:
    """A camera with its alarms, meter, snapshots and schedule."""

    def __init__(self, camera: Camera, interval_s: float) -> None:
        self.camera = camera
        self.alarms = SourceAlarms(camera.settings.alarms, is_live=camera.settings.is_live)
        self.meter = open_meter()
        self.snapshots = Snapshots()
        self.due_s = monotonic()
        self.status_due_s = self.due_s + interval_s
        self.failing = False


class Monitor:
    """Scores the frames of many sources in turn, in the thread that calls `run`, and sends messages to the sinks.

    The source whose next score is due first goes first, so that none starves, no matter how slow the engine is.
    `engine` and `sinks` may be replaced between two frames (see `call_soon`) and are not closed here. `memory` keeps
    what the alarms know over a restart. `wall_clock` returns Unix seconds and may jump: it does not affect durations.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        engine: Engine,
        sinks: Sequence[Sink],
        wall_clock: Callable[[], float] = time.time,
        memory: MemoryFile | None = None,
    ) -> None:
        self.engine, self.sinks = engine, sinks
        self._memory, self._keep_due_s = memory, monotonic() + _KEEP_S
        self._known = memory.load() if memory else {}
        self._wall_clock = wall_clock
        self._wake = threading.Event()
        self._requests: deque[Callable[[], None]] = deque()
        self._stopping = False
        self.on_round: Callable[[], None] = lambda: None  # called whenever the loop comes round
        self._channels: dict[str, _Channel] = {}
        self._retired: list[Camera] = []
        self._interval_s = settings.status_interval_s
        self.apply(settings)

    @property
    def cameras(self) -> list[Camera]:
        """The sources being monitored."""
        return [channel.camera for channel in self._channels.values()]

    def call_soon(self, request: Callable[[], None]) -> None:
        """Call `request` from the thread of `run` between two frames; may be called from a signal handler."""
        self._requests.append(request)

    def accept_view(self, source: str, by: str) -> bool:
        """Accept the changed view of a camera, if it is one; only from a request of `call_soon`."""
        channel = self._channels.get(source)
        return channel is not None and channel.alarms.accept_view(by)

    def relearn(self) -> None:
        """Learn all baselines anew: another model gives other scores."""
        self._known.clear()
        for channel in self._channels.values():
            channel.alarms.relearn()

    def stop(self) -> None:
        """End `run` after the current frame; may be called from a signal handler."""
        self._stopping = True

    @property
    def is_reading(self) -> bool:
        """Whether a reader is still running; after `run` one may, for up to its read timeout."""
        return any(not camera.join(0) for camera in [*self.cameras, *self._retired])

    def apply(self, settings: MonitorSettings) -> None:
        """Monitor according to `settings` from now on; unchanged sources are not interrupted."""
        self._interval_s = settings.status_interval_s
        cameras = {camera.label: camera for camera in settings.resolved()}
        for name, channel in list(self._channels.items()):
            if cameras.get(name) != channel.camera.settings:
                self._known[name] = channel.alarms.to_json()
                self._retire(self._channels.pop(name).camera, is_removed=name not in cameras)
        for name, camera in cameras.items():
            if name not in self._channels:
                channel = _Channel(Camera(camera, self._wake.set, self._wall_clock), self._interval_s)
                if name in self._known:
                    channel.alarms.restore(self._known[name])
                self._channels[name] = channel
                channel.camera.start()

    def run(self) -> None:
        """Monitor until `stop` is called or every source has ended."""
        try:
            while not self._stopping:
                self._wake.clear()
                self.on_round()
                while self._requests:
                    self._requests.popleft()()
                for channel in self._channels.values():
                    self._publish_status(channel)
                if monotonic() >= self._keep_due_s:
                    self._keep()
                ready = [channel for channel in self._channels.values() if channel.camera.has_frame]
                if ready:
                    self._score_frame(min(ready, key=lambda channel: channel.due_s))
                elif all(camera.finished for camera in self.cameras):
                    break
                else:
                    self._wake.wait(_POLL_S)
        finally:
            self._shut_down()

    def _score_frame(self, channel: _Channel) -> None:
        camera, frame = channel.camera, channel.camera.take()
        if frame is None:
            return
        channel.due_s = monotonic() + 1 / (camera.settings.fps or 1)
        try:
            reading, quality_map = self._reading(channel, frame)
            events = channel.alarms.on_reading(reading, frame.pixels)
            snapshot = channel.snapshots.take(reading, frame.pixels, quality_map)
        except Exception as error:  # one bad frame of one source must not stop the others
            if not channel.failing:
                log.warning("%s: a frame could not be scored: %s", camera.name, str(error) or type(error).__name__)
            channel.failing = True
            return
        channel.failing = False
        camera.count_scored()
        self._publish([reading, *events, *([snapshot] if snapshot else [])])

    def _reading(self, channel: _Channel, frame: LiveFrame) -> tuple[LiveReading, Floats | None]:
        began_s, began = monotonic(), perf_counter()
        picture = within_reach(frame.picture)
        prediction, preprocess_s, infer_s = self.engine.score(picture)
        scored = perf_counter()
        signals, void = channel.meter.measure(frame.pixels), void_of(*picture.samples())
        measured = perf_counter()
        height, width = frame.pixels.shape[:2]
        stages_s = {
            "decode": frame.decode_s,
            "wait": began_s - frame.ready_s,
            "preprocess": preprocess_s,
            "infer": infer_s,
            "signals": measured - scored,
            "total": began_s - frame.arrived_s + measured - began,
        }
        score = 0.0 if void else prediction.score
        reading = LiveReading(
            source=channel.camera.name,
            wall_time=frame.wall_time,
            pts_s=frame.pts_s,
            index=frame.index,
            width=width,
            height=height,
            score=score,
            band=band(score),
            causes={} if void else prediction.causes_by_name(),
            signals=signals,
            baseline=channel.alarms.baseline,
            void=void,
            latency_ms={stage: seconds * 1000 for stage, seconds in stages_s.items()},
        )
        return reading, None if void else prediction.map

    def _publish_status(self, channel: _Channel) -> None:
        statuses = channel.camera.changes()
        if monotonic() >= channel.status_due_s:
            channel.status_due_s = monotonic() + self._interval_s
            statuses.append(channel.camera.status())
        for status in statuses:
            # The end of a file is no signal loss.
            events = [] if channel.camera.settings.is_finite else channel.alarms.on_status(status)
            self._publish([status, *events])

    def _publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Event):
                cause = message.evidence.get("likely_cause") if message.state == "raised" else None
                likely = f", likely {cause}" if cause else ""
                log.warning("%s: %s %s%s", message.source, message.kind, message.state, likely)
            elif isinstance(message, Status):
                message = replace(message, lost={sink.name: sink.lost for sink in self.sinks if sink.lost})
            for sink in self.sinks:
                sink.put(message)

    def _retire(self, camera: Camera, is_removed: bool) -> None:
        camera.stop()
        self._retired = [other for other in self._retired if not other.join(0)] + [camera]
        if is_removed:
            last = camera.status()
            reason = "no longer monitored"
            log.info("%s: %s", camera.name, reason)
            self._publish([replace(last, state="removed", reason=reason)])

    def _keep(self) -> None:
        self._keep_due_s = monotonic() + _KEEP_S
        if self._memory:
            self._known |= {name: channel.alarms.to_json() for name, channel in self._channels.items()}
            self._memory.save(self._known)

    def _shut_down(self) -> None:
        deadline_s = monotonic() + _SHUTDOWN_S
        for camera in self.cameras:
            camera.stop()
            self._publish([camera.status()])
        self._keep()
        for camera in [*self.cameras, *self._retired]:
            camera.join(max(0.0, deadline_s - monotonic()))

"""Many sources, one engine: who is scored next, and who is told."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic, perf_counter

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.camera import Camera, LiveFrame
from dpiqa.runtime.monitor.messages import Event, LiveReading, Message, Sink, Status
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.monitor.snapshots import Snapshots
from dpiqa.runtime.prediction import Floats
from dpiqa.runtime.reading import band

log = logging.getLogger(__name__)

_NAP_S = 0.1  # how long a signal, a stall or a request may go unnoticed
_PARTING_S = 0.5


class _Watched:
    """A camera with what is its own: alarms, signals, and when it is due."""

    def __init__(self, camera: Camera, interval_s: float) -> None:
        self.camera = camera
        self.alarms = SourceAlarms(camera.config.alarms, is_live=camera.config.is_live)
        self.meter = open_meter()
        self.snapshots = Snapshots()
        self.due_s = monotonic()
        self.status_due_s = self.due_s + interval_s
        self.failing = False


class Monitor:
    """Scores the frames of many sources in turn, in the thread that calls `run`, and tells the sinks.

    The source whose next score is due first has its turn, so that none starves however slow the engine is. `engine`
    and `sinks` may be replaced between two frames (see `soon`), and are not closed here. `wall_clock` gives Unix
    seconds and may jump: durations are measured otherwise.
    """

    def __init__(
        self,
        config: MonitorSettings,
        engine: Engine,
        sinks: Sequence[Sink],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.engine, self.sinks = engine, sinks
        self._wall_clock = wall_clock
        self._wake = threading.Event()
        self._requests: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._watched: dict[str, _Watched] = {}
        self._left: list[Camera] = []
        self._interval_s = config.status_interval_s
        self.apply(config)

    @property
    def cameras(self) -> list[Camera]:
        """The sources that are being watched."""
        return [watched.camera for watched in self._watched.values()]

    def soon(self, request: Callable[[], None]) -> None:
        """Have `request` called by the thread of `run` between two frames; may be called from a signal's handler."""
        self._requests.append(request)

    def stop(self) -> None:
        """End `run` after the frame that is being scored; may be called from a signal's handler."""
        self._stopping = True

    @property
    def is_reading(self) -> bool:
        """Whether a reader still waits for its source; after `run` one may, for as long as its read timeout."""
        return any(not camera.join(0) for camera in [*self.cameras, *self._left])

    def apply(self, config: MonitorSettings) -> None:
        """Watch what `config` says from now on; sources for which nothing changes are not disturbed."""
        self._interval_s = config.status_interval_s
        wanted = {camera.label: camera for camera in config.resolved()}
        for name, watched in list(self._watched.items()):
            if wanted.get(name) != watched.camera.config:
                self._leave(self._watched.pop(name).camera, is_gone=name not in wanted)
        for name, camera in wanted.items():
            if name not in self._watched:
                watched = _Watched(Camera(camera, self._wake.set, self._wall_clock), self._interval_s)
                self._watched[name] = watched
                watched.camera.start()

    def run(self) -> None:
        """Watch until `stop` is called or every source has ended."""
        try:
            while not self._stopping:
                self._wake.clear()
                while self._requests:
                    self._requests.popleft()()
                for watched in self._watched.values():
                    self._tell_state(watched)
                ready = [watched for watched in self._watched.values() if watched.camera.has_frame]
                if ready:
                    self._turn(min(ready, key=lambda watched: watched.due_s))
                elif all(camera.finished for camera in self.cameras):
                    break
                else:
                    self._wake.wait(_NAP_S)
        finally:
            self._part()

    def _turn(self, watched: _Watched) -> None:
        camera, frame = watched.camera, watched.camera.take()
        if frame is None:
            return
        watched.due_s = monotonic() + 1 / (camera.config.fps or 1)
        try:
            reading, quality_map = self._read(watched, frame)
            events = watched.alarms.on_reading(reading, frame.pixels)
            snapshot = watched.snapshots.take(reading, frame.pixels, quality_map)
        except Exception as error:  # one bad frame of one source must not end the watch over the others
            if not watched.failing:
                log.warning("%s: a frame could not be scored: %s", camera.name, str(error) or type(error).__name__)
            watched.failing = True
            return
        watched.failing = False
        camera.count_scored()
        self._tell([reading, *events, *([snapshot] if snapshot else [])])

    def _read(self, watched: _Watched, frame: LiveFrame) -> tuple[LiveReading, Floats | None]:
        began_s, began = monotonic(), perf_counter()
        prediction, preprocess_s, infer_s = self.engine.score(frame.picture)
        scored = perf_counter()
        signals = watched.meter.measure(frame.pixels)
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
        reading = LiveReading(
            source=watched.camera.name,
            wall_time=frame.wall_time,
            pts_s=frame.pts_s,
            index=frame.index,
            width=width,
            height=height,
            score=prediction.score,
            band=band(prediction.score),
            causes=prediction.causes_by_name(),
            signals=signals,
            baseline=watched.alarms.baseline,
            latency_ms={stage: seconds * 1000 for stage, seconds in stages_s.items()},
        )
        return reading, prediction.map

    def _tell_state(self, watched: _Watched) -> None:
        statuses = watched.camera.changes()
        if monotonic() >= watched.status_due_s:
            watched.status_due_s = monotonic() + self._interval_s
            statuses.append(watched.camera.status())
        for status in statuses:
            # That a file ends is no loss of a signal.
            events = [] if watched.camera.config.is_finite else watched.alarms.on_status(status)
            self._tell([status, *events])

    def _tell(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Event):
                cause = message.evidence.get("likely_cause") if message.state == "raised" else None
                why = f", likely {cause}" if cause else ""
                log.warning("%s: %s %s%s", message.source, message.kind, message.state, why)
            elif isinstance(message, Status):
                message = replace(message, lost={sink.name: sink.lost for sink in self.sinks if sink.lost})
            for sink in self.sinks:
                sink.put(message)

    def _leave(self, camera: Camera, is_gone: bool) -> None:
        camera.stop()
        self._left = [left for left in self._left if not left.join(0)] + [camera]
        if is_gone:
            last = camera.status()
            reason = "no longer watched"
            log.info("%s: %s", camera.name, reason)
            self._tell([replace(last, state="removed", reason=reason)])

    def _part(self) -> None:
        until_s = monotonic() + _PARTING_S
        for camera in self.cameras:
            camera.stop()
            self._tell([camera.status()])
        for camera in [*self.cameras, *self._left]:
            camera.join(max(0.0, until_s - monotonic()))

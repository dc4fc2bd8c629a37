"""Monitors many sources with one engine: which frames are scored next, and which sinks get the messages."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Any

from dpiqa.runtime.bars import BarCrop
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.alarms.kept import MemoryFile
from dpiqa.runtime.monitor.alarms.muting import Muting
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.camera import Camera, LiveFrame
from dpiqa.runtime.monitor.evidence import describe
from dpiqa.runtime.monitor.messages import Action, Event, LiveReading, Message, Sink, Status
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.settings.cameras import CameraSettings, MonitorSettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.monitor.snapshots import Snapshots
from dpiqa.runtime.prediction import Floats
from dpiqa.runtime.preprocess import within_reach
from dpiqa.runtime.reading import band, printable

log = logging.getLogger(__name__)

_POLL_S = 0.1  # how long a signal, a stall or a request may go unnoticed
_SHUTDOWN_S = 0.5
_MOST_REQUESTS = 64
_KEEP_S = 60.0
_Scored = tuple[LiveFrame, LiveReading, Floats | None]


class _Channel:
    """A camera with its alarms, muting, meter, snapshots, schedule, and the frame that is being scored."""

    def __init__(self, camera: Camera, interval_s: float) -> None:
        self.camera = camera
        self.alarms = SourceAlarms(_possible_alarms(camera.settings), is_live=camera.settings.is_live)
        self.muting = Muting(camera.settings.maintenance)
        self.meter, self.bars = open_meter(), BarCrop()
        self.snapshots = Snapshots()
        self.due_s = monotonic()
        self.status_due_s = self.due_s + interval_s
        self.failing = False
        self.scoring: Future[_Scored] | None = None

    def to_json(self) -> dict[str, Any]:
        """What to keep over a restart."""
        return {**self.alarms.to_json(), "muting": self.muting.to_json()}

    def restore(self, document: dict[str, Any], now: float) -> None:
        """Take over what was kept; `now` is Unix seconds."""
        self.alarms.restore(document)
        self.muting.restore(document.get("muting", {}), now)


class Monitor:
    """Scores the frames of many sources in turn, and sends messages to the sinks from the thread that calls `run`.

    As many sources have a frame scored at once as the engine has requests, one frame of each. The source whose next
    score is due first goes first, so that none starves, no matter how slow the engine is.
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

    def act(self, action: Action) -> None:
        """Do what a person wants, and tell the sinks; only from a request of `call_soon`."""
        channel = next((one for name, one in self._channels.items() if action.source in (name, printable(name))), None)
        if channel is None or (action.action == "accept" and not channel.alarms.accept_view(action.by)):
            return
        if action.action == "mute" and action.until is not None:
            channel.muting.mute(self._wall_clock(), action.until, action.by)
        elif action.action == "unmute":
            channel.muting.unmute(self._wall_clock())
        log.info("%s: %s by %s", channel.camera.name, action.action, action.by)
        self._publish([replace(action, source=channel.camera.name)])
        channel.status_due_s = monotonic()
        self._keep()

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
                self._known[name] = channel.to_json()
                self._retire(self._channels.pop(name).camera, is_removed=name not in cameras)
        for name, camera in cameras.items():
            if name not in self._channels:
                channel = _Channel(Camera(camera, self._wake.set, self._wall_clock), self._interval_s)
                if name in self._known:
                    channel.restore(self._known[name], self._wall_clock())
                self._channels[name] = channel
                channel.camera.start()

    def run(self) -> None:
        """Monitor until `stop` is called or every source has ended."""
        try:
            with ThreadPoolExecutor(_MOST_REQUESTS, "scoring") as pool:
                while not self._stopping:
                    self._wake.clear()
                    self.on_round()
                    self._publish_scored()
                    while self._requests:
                        self._requests.popleft()()
                    for channel in self._channels.values():
                        if channel.scoring is None:  # its reading comes before the end of its source
                            self._publish_status(channel)
                    if monotonic() >= self._keep_due_s:
                        self._keep()
                    self._score_next(pool)
                    if not self._scoring() and all(camera.finished for camera in self.cameras):
                        break
                    self._wake.wait(_POLL_S)
            self._publish_scored()
        finally:
            self._shut_down()

    def _scoring(self) -> list[_Channel]:
        return [channel for channel in self._channels.values() if channel.scoring is not None]

    def _score_next(self, pool: ThreadPoolExecutor) -> None:
        """Start to score frames, until the engine is busy."""
        free = min(self.engine.requests, _MOST_REQUESTS) - len(self._scoring())
        ready = [channel for channel in self._channels.values() if channel.camera.has_frame and channel.scoring is None]
        for channel in sorted(ready, key=lambda channel: channel.due_s)[: max(0, free)]:
            if (frame := channel.camera.take()) is not None:
                channel.due_s = monotonic() + 1 / (channel.camera.settings.fps or 1)
                channel.scoring = pool.submit(self._score, self.engine, channel, frame)
                channel.scoring.add_done_callback(lambda _: self._wake.set())

    def _publish_scored(self) -> None:
        for channel in self._scoring():
            future = channel.scoring
            if future is not None and future.done():
                channel.scoring = None
                self._publish_frame(channel, future)

    def _publish_frame(self, channel: _Channel, future: Future[_Scored]) -> None:
        camera = channel.camera
        try:
            frame, reading, quality_map = future.result()
            events = channel.muting.mark(
                self._wall_clock(), channel.alarms.on_reading(reading, frame.pixels, frame.arrived_s)
            )
            snapshot = channel.snapshots.take(reading, frame.pixels, quality_map)
        except Exception as error:  # one bad frame of one source must not stop the others
            if not channel.failing:
                log.warning("%s: a frame could not be scored: %s", camera.name, str(error) or type(error).__name__)
            channel.failing = True
            return
        channel.failing = False
        camera.count_scored()
        self._publish([reading, *events, *([snapshot] if snapshot else [])])

    @staticmethod
    def _score(engine: Engine, channel: _Channel, frame: LiveFrame) -> _Scored:
        began_s, began = monotonic(), perf_counter()
        if channel.camera.settings.crop_bars:
            frame = replace(frame, picture=channel.bars.crop(frame.picture))
        picture = within_reach(frame.picture)
        prediction, preprocess_s, infer_s = engine.score(picture)
        scored = perf_counter()
        signals = channel.meter.measure(frame.pixels)
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
            source=channel.camera.name,
            wall_time=frame.wall_time,
            pts_s=frame.pts_s,
            index=frame.index,
            width=width,
            height=height,
            score=prediction.score,
            band=band(prediction.score),
            causes=prediction.causes_by_name(),
            signals=signals,
            baseline=channel.alarms.baseline,
            void=prediction.void,
            latency_ms={stage: seconds * 1000 for stage, seconds in stages_s.items()},
        )
        return frame, reading, None if prediction.void else prediction.map

    def _publish_status(self, channel: _Channel) -> None:
        statuses = channel.camera.changes()
        if monotonic() >= channel.status_due_s:
            channel.status_due_s = monotonic() + self._interval_s
            statuses.append(channel.camera.status())
        for status in statuses:
            # The end of a file is no signal loss.
            events = [] if channel.camera.settings.is_finite else channel.alarms.on_status(status)
            now = self._wall_clock()
            mute = channel.muting.current(now)
            if mute is not None:
                status = replace(status, muted_until=mute.until, muted_by=mute.by)
            self._publish([status, *channel.muting.mark(now, events)])

    def _publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Event):
                muted, text = " (muted)" if message.muted else "", describe(message.kind, message.evidence)
                log.warning("%s: %s %s%s, %s", message.source, message.kind, message.state, muted, text)
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
            self._known |= {name: channel.to_json() for name, channel in self._channels.items()}
            self._memory.save(self._known)

    def _shut_down(self) -> None:
        deadline_s = monotonic() + _SHUTDOWN_S
        for camera in self.cameras:
            camera.stop()
            self._publish([camera.status()])
        self._keep()
        for camera in [*self.cameras, *self._retired]:
            camera.join(max(0.0, deadline_s - monotonic()))


def _possible_alarms(camera: CameraSettings) -> AlarmSettings:
    """The alarms of a camera without those for which its frames are too far apart."""
    alarms = camera.alarms
    if camera.frames == "all" or not alarms.frozen.enabled:
        return alarms
    log.info("%s: only key frames are decoded, the alarm Frozen is off", camera.label)
    return alarms.model_copy(update={"frozen": alarms.frozen.model_copy(update={"enabled": False})})

"""Prometheus metrics, served on `/metrics`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.dashboard.server import Server
from dpiqa.runtime.monitor.messages import TEXT_MESSAGES, Counts, Event, LiveReading, Message, Status
from dpiqa.runtime.monitor.settings.sinks import PrometheusSettings
from dpiqa.runtime.void import Void

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Prometheus:
    """Maintains the metrics and serves them from its own thread.

    `counts` returns the message counts of every sink, by name. Raises InputError if the address cannot be bound.
    """

    name, linger_s = "prometheus", 0.0
    accepts = TEXT_MESSAGES

    def __init__(self, settings: PrometheusSettings, counts: Callable[[], Mapping[str, Counts]]) -> None:
        self._metrics = _Metrics()
        self._metrics.registry.register(_SinkCounts(counts))
        app = make_asgi_app(self._metrics.registry)
        self._server = Server(app, settings.host, settings.port, "metrics")

    @property
    def port(self) -> int:
        """The port it listens on: a free one if the settings have 0."""
        return self._server.port

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        for message in messages:
            if isinstance(message, LiveReading):
                self._metrics.reading(message)
            elif isinstance(message, Event):
                self._metrics.event(message)
            elif isinstance(message, Status):
                self._metrics.status(message)

    def close(self) -> None:
        """See Writer."""
        self._server.close()


def registry_of(counts: Callable[[], Mapping[str, Counts]]) -> CollectorRegistry:
    """The registry of a monitor that has no source yet."""
    registry = _Metrics().registry
    registry.register(_SinkCounts(counts))
    return registry


@dataclass
class _Metrics:
    """The metrics of all sources, labelled with the `source`."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._score = self._gauge("score", "Quality of the latest frame, 0 to 100")
        self._baseline = self._gauge("score_baseline", "Baseline score of the source")
        self._cause = self._gauge("cause_ratio", "How strongly a cause lowers the quality, 0 to 1", "cause")
        self._signal = self._gauge("signal_ratio", "A signal of the latest frame's luma", "signal")
        self._void = self._gauge("frame_void", "1 while the latest frame shows nothing", "kind")
        self._last = self._gauge("last_frame_timestamp_seconds", "When the latest scored frame arrived, Unix time")
        self._up = self._gauge("source_up", "1 while frames arrive")
        self._rate = self._gauge("scored_frames_per_second", "Frames scored per second, lately")
        self._asked = self._gauge("asked_frames_per_second", "Frames that should be scored per second")
        self._muted = self._gauge("source_muted", "1 while events of the source raise no alarm")
        self._active = self._gauge("event_active", "1 while an event lasts that is not muted", "kind")
        self._frames = self._counter("frames", "Frames by outcome: scored or dropped", "outcome")
        self._reconnects = self._counter("source_reconnects", "Number of reconnections of the source")
        self._events = self._counter("events", "Events raised and not muted", "kind")
        self._stages = Histogram(
            "dpiqa_stage_duration_seconds",
            "Time a frame spent in a stage",
            ("source", "stage"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        gauges = (
            self._score,
            self._baseline,
            self._cause,
            self._signal,
            self._void,
            self._last,
            self._up,
            self._rate,
            self._asked,
            self._muted,
            self._active,
        )
        self._all = (*gauges, self._frames, self._reconnects, self._events, self._stages)
        self._totals: dict[tuple[str, str], int] = {}

    def reading(self, reading: LiveReading) -> None:
        source = reading.source
        self._score.labels(source).set(reading.score)
        self._last.labels(source).set(reading.wall_time)
        if reading.baseline is not None:
            self._baseline.labels(source).set(reading.baseline)
        for kind in get_args(Void):
            self._void.labels(source, kind).set(reading.void == kind)
        if reading.void:
            self._cause.remove_by_labels({"source": source})
        for name, strength in reading.causes.items():
            self._cause.labels(source, name).set(strength)
        for name, value in asdict(reading.signals).items():
            if value is not None:
                self._signal.labels(source, name).set(value)
        for stage, latency_ms in reading.latency_ms.items():
            self._stages.labels(source, stage).observe(latency_ms / 1000)

    def event(self, event: Event) -> None:
        is_raised = event.state == "raised" and not event.muted
        self._active.labels(event.source, event.kind).set(is_raised)
        if is_raised:
            self._events.labels(event.source, event.kind).inc()

    def status(self, status: Status) -> None:
        source = status.source
        if status.state == "removed":
            for metric in self._all:
                metric.remove_by_labels({"source": source})
            self._totals = {key: total for key, total in self._totals.items() if key[0] != source}
            return
        if status.state == "ended":  # as it should: no reason to alert
            self._up.remove_by_labels({"source": source})
        else:
            self._up.labels(source).set(status.state == "up")
        self._muted.labels(source).set(status.muted_until is not None)
        if status.asked_fps is not None:
            self._asked.labels(source).set(status.asked_fps)
        if status.fps is not None:
            self._rate.labels(source).set(status.fps)
        self._count(self._frames.labels(source, "scored"), (source, "scored"), status.scored)
        self._count(self._frames.labels(source, "dropped"), (source, "dropped"), status.dropped)
        self._count(self._reconnects.labels(source), (source, "reconnects"), status.reconnects)
        for kind in KINDS:
            self._active.labels(source, kind)  # present from the start, so that a rise is visible

    def _count(self, counter: Counter, key: tuple[str, str], total: int) -> None:
        counter.inc(max(0, total - self._totals.get(key, 0)))
        self._totals[key] = total

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"dpiqa_{name}", help_text, ("source", *labels), registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"dpiqa_{name}", help_text, ("source", *labels), registry=self.registry)


class _SinkCounts(Collector):
    def __init__(self, counts: Callable[[], Mapping[str, Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "dpiqa_sink_messages",
            "Messages by sink and outcome: written, dropped (queue full) or failed",
            labels=("sink", "outcome"),
        )
        for name, counts in self._counts().items():
            for outcome, value in asdict(counts).items():
                family.add_metric((name, outcome), value)
        return [family]

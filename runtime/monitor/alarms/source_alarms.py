"""Turns the readings of one camera into events: what is wrong, since when, and the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from dpiqa.runtime.monitor.alarms.conditions import MIN_CAUSE, Conditions, Verdict, rules_by_kind
from dpiqa.runtime.monitor.alarms.latch import Latch, Moment, StreamClock
from dpiqa.runtime.monitor.alarms.scene import View
from dpiqa.runtime.monitor.messages import Event, LiveReading, Status
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.snapshots import jpeg_thumbnail

KINDS = (*rules_by_kind(AlarmSettings()), "SignalLoss")
_AGAINST_BASELINE = ("QualityDrop", "ImageTooBlurry", "Obstructed")


class SourceAlarms:
    """The alarms of one source, called from one thread.

    `clock` returns monotonic seconds, for sources without time stamps and for live ones, whose time stamps may jump.
    """

    def __init__(
        self,
        settings: AlarmSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_live: bool = False,
    ) -> None:
        self._settings = settings or AlarmSettings()
        self._clock = StreamClock(clock, is_live)
        self._conditions = Conditions(self._settings)
        rules = rules_by_kind(self._settings).items()
        self._latches = {kind: Latch(rule.hold_s, rule.release_s) for kind, rule in rules if rule.enabled}
        self._relearn_s = 0.0
        self._lost_since: float | None = None
        self._baseline: float | None = None

    @property
    def baseline(self) -> float | None:
        """The baseline score, 0 to 100, at the latest reading, None while it is being learnt."""
        return self._baseline

    def on_reading(self, reading: LiveReading, frame_bgr: NDArray[Any]) -> list[Event]:
        """The events that a frame, BGR uint8 `[h, w, 3]`, raises or clears."""
        now = Moment(self._clock.at(reading.pts_s), reading.wall_time, reading.pts_s)
        view = View(frame_bgr)
        verdicts = self._conditions.evaluate(now, reading, view)
        self._baseline = self._conditions.baseline(now.wall_time)
        thumbnail, events = None, []
        for kind, latch in self._latches.items():
            verdict = verdicts[kind]
            change = latch.step(now, verdict.is_bad)
            if change is None or latch.began is None:
                continue
            thumbnail = thumbnail or jpeg_thumbnail(frame_bgr)
            ended = latch.ended and max(latch.ended.wall_time, latch.began.wall_time)
            evidence = _evidence(reading, verdict.evidence, (latch.ended or latch.began).pts_s)
            events.append(Event(kind, reading.source, change, latch.began.wall_time, ended, evidence, thumbnail))
        self._learn(now, reading, view, verdicts)
        return events

    def on_status(self, status: Status) -> list[Event]:
        """The events that the source's state raises or clears."""
        if status.state != "up":
            for latch in self._latches.values():
                latch.interrupt()
        if not self._settings.signal_loss.enabled:
            return []
        evidence: dict[str, float | str] = {"state": status.state, "reason": status.reason}
        if status.state in ("stalled", "down") and self._lost_since is None:
            self._lost_since = status.wall_time
            return [Event("SignalLoss", status.source, "raised", status.wall_time, None, evidence)]
        if status.state == "up" and self._lost_since is not None:
            began, self._lost_since = self._lost_since, None
            ended = max(began, status.wall_time)
            return [Event("SignalLoss", status.source, "cleared", began, ended, evidence)]
        return []

    def _learn(self, now: Moment, reading: LiveReading, view: View, verdicts: dict[str, Verdict]) -> None:
        raised = [latch for kind, latch in self._latches.items() if kind in _AGAINST_BASELINE and latch.is_raised]
        oldest_s = min((latch.began.stream_s for latch in raised if latch.began), default=now.stream_s)
        if now.stream_s - max(oldest_s, self._relearn_s) >= self._settings.baseline.adapt_s:
            self._conditions.relearn()
            self._relearn_s = now.stream_s
        is_usual = not raised and not any(verdicts[kind].is_bad for kind in _AGAINST_BASELINE)
        self._conditions.learn(now, reading, view, is_usual)


def _evidence(reading: LiveReading, numbers: Mapping[str, float | str], pts_s: float | None) -> dict[str, float | str]:
    causes = {f"cause_{name}": strength for name, strength in reading.causes.items() if strength >= MIN_CAUSE}
    position = {} if pts_s is None else {"pts_s": pts_s}
    return {**numbers, "score": reading.score, **causes, **position}

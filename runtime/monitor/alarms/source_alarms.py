"""Turns the readings of one camera into events: what is wrong, since when, and the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from dpiqa.runtime.monitor.alarms.conditions import AGAINST_BASELINE, Conditions, Verdict, rules_by_kind
from dpiqa.runtime.monitor.alarms.latch import Latch, Moment, StreamClock
from dpiqa.runtime.monitor.alarms.memory import Memories
from dpiqa.runtime.monitor.alarms.view import View
from dpiqa.runtime.monitor.messages import Event, LiveReading, Status
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.snapshots import jpeg_picture, jpeg_thumbnail
from dpiqa.runtime.reading import MIN_CAUSE

KINDS = (*rules_by_kind(AlarmSettings()), "SignalLoss")
_VIEW = "GlobalSceneChange"
_REMEMBER_S = 5.0


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
        self._read_clock, self._clock = clock, StreamClock(clock, is_live)
        self._memories = Memories(self._settings)
        self._conditions = Conditions(self._settings, self._memories)
        rules = rules_by_kind(self._settings).items()
        self._latches = {kind: Latch(rule.hold_s, rule.release_s) for kind, rule in rules if rule.enabled}
        self._now_s = self._relearn_s = 0.0
        self._view: View | None = None
        self._accepted_by: str | None = None
        self._resumed: float | None = None  # since when a view that a restart found changed is
        self._lost: Moment | None = None
        self._baseline: float | None = None
        self._before: bytes | None = None  # the last picture of when all was well
        self._remember_s = 0.0

    @property
    def baseline(self) -> float | None:
        """The baseline score, 0 to 100, at the latest reading, None while it is being learnt."""
        return self._baseline

    def accept_view(self, by: str) -> bool:
        """Accept a changed view from the next frame on; `by` says who. Returns whether the view is a changed one."""
        latch = self._latches.get(_VIEW)
        if latch is None or not latch.is_raised:
            return False
        self._accepted_by = by
        return True

    def relearn(self) -> None:
        """Learn anew what is usual: the scores come from another model."""
        self._memories.forget()

    def on_reading(self, reading: LiveReading, frame_bgr: NDArray[Any], arrived_s: float | None = None) -> list[Event]:
        """The events that a frame, BGR uint8 `[h, w, 3]`, raises or clears; it arrived at that monotonic time."""
        now = Moment(self._clock.at(reading.pts_s), reading.wall_time, reading.pts_s, arrived_s)
        self._now_s = now.stream_s
        view = self._view = View(frame_bgr, self._view)
        verdicts, is_undisturbed = self._conditions.evaluate(now, reading, view)
        scores = self._memories.current.scores.at(now.wall_time)
        self._baseline = scores.median if scores.is_ready else None
        pictures: tuple[bytes, bytes] | None = None
        events = []
        for kind, latch in self._latches.items():
            change, evidence = latch.step(now, verdicts[kind].is_bad), verdicts[kind].evidence
            if kind == _VIEW:
                change, evidence = self._follow_view(now, latch, change, evidence)
            if change is None or latch.began is None:
                continue
            pictures = pictures or (jpeg_thumbnail(frame_bgr), jpeg_picture(frame_bgr))
            ended = latch.ended and latch.began.later(latch.ended)
            held_s = max(0.0, (latch.ended or now).stream_s - latch.began.stream_s)
            evidence = _evidence(reading, {**evidence, "held_s": held_s}, (latch.ended or latch.began).pts_s)
            event = Event(kind, reading.source, change, latch.began.wall_time, ended, evidence, *pictures)
            events.append(replace(event, before=self._before) if change == "raised" else event)
        self._remember(now, frame_bgr, verdicts)
        if reading.void is None:
            self._learn(now, reading, view, verdicts, is_undisturbed)
        return events

    def on_status(self, status: Status) -> list[Event]:
        """The events that the source's state raises or clears."""
        if status.state != "up":
            for latch in self._latches.values():
                latch.interrupt()
        if not self._settings.signal_loss.enabled:
            return []
        evidence: dict[str, float | str] = {"state": status.state, "reason": status.reason}
        now = Moment(self._now_s, status.wall_time, None, self._read_clock())
        if status.state in ("stalled", "down") and self._lost is None:
            self._lost = now
            return [Event("SignalLoss", status.source, "raised", now.wall_time, None, evidence)]
        if status.state == "up" and self._lost is not None:
            began, self._lost = self._lost, None
            ended = began.later(now)
            return [Event("SignalLoss", status.source, "cleared", began.wall_time, ended, evidence)]
        return []

    def to_json(self) -> dict[str, Any]:
        """What to keep over a restart: what is usual, and since when the view is a changed one (Unix seconds)."""
        latch = self._latches.get(_VIEW)
        changed = latch.began.wall_time if latch is not None and latch.is_raised and latch.began else None
        return {"changed_since": changed, "memories": self._memories.to_json(self._now_s)}

    def restore(self, document: dict[str, Any]) -> None:
        """Take over what was kept, before the first reading; what is not understood is left out."""
        try:
            self._memories.restore(document["memories"], self._now_s)
            changed = document["changed_since"]
            self._resumed = None if changed is None else float(changed)
        except (ValueError, TypeError, KeyError, AttributeError):
            self._memories = Memories(self._settings)
            self._conditions = Conditions(self._settings, self._memories)

    def _follow_view(
        self, now: Moment, latch: Latch, change: Any, evidence: Mapping[str, float | str]
    ) -> tuple[Any, Mapping[str, float | str]]:
        """Change memories with the view, accept it in time, and take up what a restart interrupted."""
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            latch.resume(Moment(now.stream_s, resumed))
            return "raised", {"view": "changed before the restart"}
        if change == "raised":
            self._memories.change_view()
        elif change == "cleared":
            self._memories.return_view()
        elif latch.is_raised and latch.began:
            if now.stream_s - latch.began.stream_s >= self._settings.global_scene_change.accept_s:
                self._accepted_by = "time"
            if self._accepted_by is not None:
                by, self._accepted_by = self._accepted_by, None
                self._memories.accept_view()
                latch.clear(now)
                return "cleared", {"accepted_by": by}
        self._accepted_by = None
        return change, evidence

    def _remember(self, now: Moment, frame_bgr: NDArray[Any], verdicts: dict[str, Verdict]) -> None:
        """Keep the picture now and then, while nothing is or seems wrong."""
        is_well = not any(latch.is_raised for latch in self._latches.values())
        if is_well and now.stream_s >= self._remember_s and not any(verdict.is_bad for verdict in verdicts.values()):
            self._before, self._remember_s = jpeg_picture(frame_bgr), now.stream_s + _REMEMBER_S

    def _learn(
        self, now: Moment, reading: LiveReading, view: View, verdicts: dict[str, Verdict], is_undisturbed: bool
    ) -> None:
        raised = {kind: latch for kind, latch in self._latches.items() if latch.is_raised and kind != _VIEW}
        began = [latch.began.stream_s for kind, latch in raised.items() if latch.began and kind in AGAINST_BASELINE]
        oldest_s = min(began, default=now.stream_s)
        if now.stream_s - max(oldest_s, self._relearn_s) >= self._settings.baseline.adapt_s:
            self._memories.relearn()
            self._relearn_s = now.stream_s
        judged = self._latches.keys() - ({_VIEW} if self._latches.get(_VIEW, Latch(0, 0)).is_raised else set())
        is_good = not raised and not any(verdicts[kind].is_bad for kind in judged)
        is_new = not self._memories.current.is_ready and not raised.keys() - set(AGAINST_BASELINE)
        self._memories.current.learn(now, reading, view, is_undisturbed and (is_good or is_new))


def _evidence(reading: LiveReading, numbers: Mapping[str, float | str], pts_s: float | None) -> dict[str, float | str]:
    causes = {f"cause_{name}": strength for name, strength in reading.causes.items() if strength >= MIN_CAUSE}
    position = {} if pts_s is None else {"pts_s": pts_s}
    return {**numbers, "score": reading.score, **causes, **position}

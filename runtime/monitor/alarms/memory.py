"""What a camera's alarms know of it, by light and by view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from dpiqa.runtime.monitor.alarms.baseline import Baseline, DayBaseline
from dpiqa.runtime.monitor.alarms.latch import Moment
from dpiqa.runtime.monitor.alarms.scene import Scene
from dpiqa.runtime.monitor.alarms.view import View
from dpiqa.runtime.monitor.messages import LiveReading
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings

Light = Literal["colour", "infrared"]
SIGNALS = ("focus", "noise", "blockiness", "brightness")
_NAMES = (*SIGNALS, "featureless")
_WEEK_S, _WEEK_MINIMUM, _WEEK_SPACING_S = 7 * 24 * 3600.0, 30, 60.0
_START_S = 2 * 3600.0
_NEARLY = 0.9
_VALUES = 64  # of a short time, that is enough of them
_SWITCH_S = 3.0


class Memory:
    """The baselines and the scene of one view in one light.

    `scores` and `signals` are what is usual; `week_scores`, `week_brightness` and `week_noise` what was usual lately.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings, rule = settings, settings.baseline
        self.scores = DayBaseline(rule)
        self.signals = {
            name: Baseline(rule.window_s, rule.minimum, rule.learn_s, rule.learn_s / _VALUES) for name in _NAMES
        }
        self.week_scores, self.week_brightness, self.week_noise = (
            Baseline(_WEEK_S, _WEEK_MINIMUM, 0, _WEEK_SPACING_S) for _ in range(3)
        )
        self.scene = Scene(settings.global_scene_change)
        self._latest = {
            name: Baseline(rule.recover_s, rule.minimum, 0, rule.recover_s / _VALUES) for name in ("score", *_NAMES)
        }

    @property
    def is_ready(self) -> bool:
        """Whether there is a baseline."""
        return self.scores.all_day.is_ready

    def learn(self, now: Moment, reading: LiveReading, view: View, is_usual: bool) -> None:
        """Learn from a reading that is not void, and from its scene if it is usual."""
        values = {name: getattr(reading.signals, name) for name in SIGNALS} | {"featureless": view.featureless}
        self.scores.learn(now.stream_s, now.wall_time, reading.score, is_usual)
        for name, value in (("score", reading.score), *values.items()):
            self._latest[name].learn(now.stream_s, value)
        if is_usual:
            for name, value in values.items():
                self.signals[name].learn(now.stream_s, value)
            self.week_scores.learn(now.stream_s, reading.score)
            self.week_brightness.learn(now.stream_s, reading.signals.brightness)
            self.week_noise.learn(now.stream_s, reading.signals.noise)
            self.scene.learn(now.stream_s, view)
        if self._started_badly():
            self.scores.all_day.replace(self._latest["score"])
            for name in _NAMES:
                self.signals[name].replace(self._latest[name])
            self.scene = Scene(self._settings.global_scene_change)

    def _started_badly(self) -> bool:
        usual, latest = self.scores.all_day, self._latest["score"]
        if not usual.is_ready or not latest.is_ready or usual.learnt_s > _START_S:
            return False
        is_long = latest.span_s >= _NEARLY * self._settings.baseline.recover_s
        return is_long and latest.median > usual.median + self._settings.quality_drop.points / 2

    def to_json(self, now_s: float) -> dict[str, Any]:
        """What to keep over a restart."""
        parts = {name: baseline.to_json(now_s) for name, baseline in self._parts()}
        return {"scores": self.scores.to_json(now_s), "scene": self.scene.to_json(), **parts}

    def restore(self, document: dict[str, Any], now_s: float) -> None:
        """Take over what was kept. Raises ValueError, TypeError or KeyError for anything else."""
        self.scores.restore(document["scores"], now_s)
        self.scene.restore(document["scene"], now_s)
        for name, baseline in self._parts():
            baseline.restore(document[name], now_s)

    def _parts(self) -> Iterator[tuple[str, Baseline]]:
        yield from self.signals.items()
        yield from (
            ("week_scores", self.week_scores),
            ("week_brightness", self.week_brightness),
            ("week_noise", self.week_noise),
        )


class Memories:
    """The memory for each light; another set while the view is a changed one.

    `light` follows a picture that has, or lacks, colour for some seconds; until then it is `uncertain`.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self.light: Light = "colour"
        self.is_uncertain = False
        self._differs_since_s: float | None = None
        self._usual: dict[Light, Memory] = {}
        self._before_change: dict[Light, Memory] | None = None

    @property
    def current(self) -> Memory:
        """The memory of the present view in the present light."""
        return self._usual.setdefault(self.light, Memory(self._settings))

    @property
    def reference(self) -> Scene:
        """The scene that the view ought to be: the one before it changed."""
        memories = self._usual if self._before_change is None else self._before_change
        return memories.setdefault(self.light, Memory(self._settings)).scene

    def follow_light(self, now_s: float, is_grey: bool) -> None:
        """Note whether a frame that shows something has no colour."""
        light: Light = "infrared" if is_grey else "colour"
        self.is_uncertain = light != self.light
        if not self.is_uncertain:
            self._differs_since_s = None
            return
        if not self._usual:  # the first frame
            self.light, self.is_uncertain = light, False
            return
        self._differs_since_s = now_s if self._differs_since_s is None else self._differs_since_s
        if now_s - self._differs_since_s >= _SWITCH_S:
            self.light, self.is_uncertain, self._differs_since_s = light, False, None

    def relearn(self) -> None:
        """Begin anew in the present light, but keep what is known of the hours of the day."""
        hours = self.current.scores
        self._usual[self.light] = Memory(self._settings)
        self.current.scores.keep_hours_of(hours)

    def forget(self) -> None:
        """Begin anew in every light, for every view."""
        self._usual.clear()
        if self._before_change is not None:
            self._before_change = {}

    def change_view(self) -> None:
        """The view has changed: learn it beside the one before."""
        if self._before_change is None:
            self._before_change, self._usual = self._usual, {}

    def return_view(self) -> None:
        """The view is again as it was."""
        if self._before_change is not None:
            self._usual, self._before_change = self._before_change, None

    def accept_view(self) -> None:
        """The changed view is the usual one from now on."""
        self._before_change = None

    def to_json(self, now_s: float) -> dict[str, Any]:
        """What to keep over a restart."""
        sets = {"usual": self._usual, "before_change": self._before_change}
        return {
            "light": self.light,
            **{
                name: memories and {light: memory.to_json(now_s) for light, memory in memories.items()}
                for name, memories in sets.items()
            },
        }

    def restore(self, document: dict[str, Any], now_s: float) -> None:
        """Take over what was kept. Raises ValueError, TypeError or KeyError for anything else."""

        def memories(kept: dict[str, Any]) -> dict[Light, Memory]:
            restored: dict[Light, Memory] = {}
            for light in ("colour", "infrared"):
                if light in kept:
                    restored[light] = Memory(self._settings)
                    restored[light].restore(kept[light], now_s)
            return restored

        usual = memories(document["usual"] or {})
        before = document["before_change"]
        self._before_change = None if before is None else memories(before)
        self._usual, self.light = usual, "infrared" if document["light"] == "infrared" else "colour"

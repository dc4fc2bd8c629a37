"""Evaluates each kind of event for a frame: its condition is met, not met, or undecided.

Where one problem hides another, only the first is reported: a black picture is not also dark, a badly exposed one not
obstructed, and none of these blurry or a scene change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dpiqa.runtime.monitor.alarms.baseline import Baseline, DayBaseline
from dpiqa.runtime.monitor.alarms.latch import Moment
from dpiqa.runtime.monitor.alarms.scene import SceneWatch, View
from dpiqa.runtime.monitor.messages import LiveReading
from dpiqa.runtime.monitor.settings.alarms import AlarmRule, AlarmSettings

MIN_CAUSE = 0.25  # the weakest of a model's causes worth reporting
_DARKEST = 0.5 / 255
# Times the baseline, and above the baseline: what distinguishes noise and compression from other causes.
_NOISE_FACTOR, _BLOCKINESS_STEP = 2.0, 0.2
_LEARNT_SIGNALS = ("focus", "noise", "blockiness")


class Verdict(NamedTuple):
    """Whether a condition is met, None where that is undecided, and the numbers behind it."""

    is_bad: bool | None = None
    evidence: Mapping[str, float | str] = MappingProxyType({})


def rules_by_kind(settings: AlarmSettings) -> dict[str, AlarmRule]:
    """The rules by kind of event, except SignalLoss, which does not depend on frames."""
    rules = (getattr(settings, name) for name in AlarmSettings.model_fields)
    return {type(rule).__name__: rule for rule in rules if isinstance(rule, AlarmRule)}


class Conditions:
    """Evaluates the frames of one camera against its settings and its baseline."""

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self._scene = SceneWatch(settings.global_scene_change.settle_s, settings.global_scene_change.clear_at)
        self._scores = DayBaseline(settings.baseline)
        self.relearn()

    def relearn(self) -> None:
        """Forget the baseline and learn it again from the next readings."""
        rule = self._settings.baseline
        self._scores.forget()
        self._baselines = {name: Baseline(rule.window_s, rule.minimum) for name in (*_LEARNT_SIGNALS, "featureless")}

    def baseline(self, wall_time: float) -> float | None:
        """The baseline score at that time (Unix seconds), None while it is being learnt."""
        scores = self._scores.at(wall_time)
        return scores.median if scores.is_ready else None

    def learn(self, now: Moment, reading: LiveReading, view: View, is_usual: bool) -> None:
        """Learn from a reading that is not void: everything if it is usual or there is no baseline yet."""
        if reading.void:
            return
        is_usual = is_usual or not self._baselines["focus"].is_ready
        self._scores.learn(now.stream_s, now.wall_time, reading.score, is_usual)
        if is_usual:
            for name in _LEARNT_SIGNALS:
                self._baselines[name].learn(now.stream_s, getattr(reading.signals, name))
            self._baselines["featureless"].learn(now.stream_s, view.featureless)

    def evaluate(self, now: Moment, reading: LiveReading, view: View) -> dict[str, Verdict]:
        """The verdict of each kind of event."""
        black, dark, bright = self._black(reading), self._dark(reading), self._bright(reading)
        obstructed = self._obstructed(view)
        is_black = black.is_bad is not False
        is_exposed = not is_black and dark.is_bad is False and not bright.is_bad
        is_hidden = not is_exposed or obstructed.is_bad is True or reading.void is not None
        verdicts = {
            "Black": black,
            "ImageTooDark": Verdict() if is_black else dark,
            "ImageTooBright": bright,
            "Obstructed": obstructed if is_exposed else Verdict(),
            "ImageTooBlurry": Verdict() if is_hidden else self._blurry(reading),
            "Frozen": self._frozen(reading),
            "GlobalSceneChange": self._scene_change(now, None if is_hidden else view),
        }
        return verdicts | {"QualityDrop": self._quality_drop(now, reading, verdicts)}

    def _quality_drop(self, now: Moment, reading: LiveReading, others: Mapping[str, Verdict]) -> Verdict:
        rule, scores = self._settings.quality_drop, self._scores.at(now.wall_time)
        if not scores.is_ready:
            return Verdict()
        drop = scores.median - reading.score
        limit = max(rule.points, rule.spreads * scores.spread) / self._settings.sensitivity
        signals = {name: getattr(reading.signals, name) for name in _LEARNT_SIGNALS}
        verdict = _beyond("drop", drop, limit, rule.recover * limit, {"baseline": scores.median, **signals})
        cause = self._likely_cause(reading, others) if verdict.is_bad else None
        return verdict._replace(evidence={"likely_cause": cause, **verdict.evidence}) if cause else verdict

    def _likely_cause(self, reading: LiveReading, others: Mapping[str, Verdict]) -> str | None:
        """Noise if the signals show it, else the model's strongest cause, else what the signals show.

        Noise comes first because the model gets a shrunk frame, in which grain may look like compression.
        """
        baselines, signals = self._baselines, reading.signals
        is_learnt = baselines["focus"].is_ready
        symptoms = {
            "exposure_low": others["Black"].is_bad or others["ImageTooDark"].is_bad,
            "exposure_high": others["ImageTooBright"].is_bad,
            "obstruction": others["Obstructed"].is_bad,
            "noise": is_learnt and signals.noise > _NOISE_FACTOR * baselines["noise"].median,
            "compression": is_learnt and signals.blockiness > _BLOCKINESS_STEP + baselines["blockiness"].median,
            "blur": others["ImageTooBlurry"].is_bad,
        }
        measured = next((cause for cause, is_present in symptoms.items() if is_present), None)
        strongest = max(reading.causes, key=reading.causes.__getitem__, default="")
        if measured != "noise" and strongest and reading.causes[strongest] >= MIN_CAUSE:
            return strongest
        return measured

    def _black(self, reading: LiveReading) -> Verdict:
        rule = self._settings.black
        return _beyond("clipped_low", reading.signals.clipped_low, rule.raise_at, rule.clear_at)

    def _dark(self, reading: LiveReading) -> Verdict:
        rule, brightness = self._settings.image_too_dark, reading.signals.brightness
        stops = math.log2(0.5 / max(brightness, _DARKEST))
        return self._deviates("stops", stops, rule.raise_at, rule.clear_at, {"brightness": brightness})

    def _bright(self, reading: LiveReading) -> Verdict:
        rule = self._settings.image_too_bright
        return self._deviates("clipped_high", reading.signals.clipped_high, rule.raise_at, rule.clear_at)

    def _obstructed(self, view: View) -> Verdict:
        rule = self._settings.obstructed
        baseline = self._baselines["featureless"]
        if not baseline.is_ready:
            return Verdict()
        growth = view.featureless - baseline.median
        evidence = {"featureless": view.featureless, "baseline": baseline.median}
        return self._deviates("growth", growth, rule.raise_at, rule.clear_at, evidence)

    def _blurry(self, reading: LiveReading) -> Verdict:
        rule, focus, baseline = self._settings.image_too_blurry, reading.signals.focus, self._baselines["focus"]
        if not baseline.is_ready:
            return Verdict()
        lost = 1 - focus / max(baseline.median, 1e-6)
        evidence = {"focus": focus, "baseline": baseline.median}
        return self._deviates("lost", lost, rule.raise_at, rule.clear_at, evidence)

    def _frozen(self, reading: LiveReading) -> Verdict:
        rule, difference = self._settings.frozen, reading.signals.difference
        if difference is None:
            return Verdict()
        return _beyond("stillness", -difference, -rule.still, -rule.moving)._replace(
            evidence={"difference": difference, "limit": rule.still}
        )

    def _scene_change(self, now: Moment, view: View | None) -> Verdict:
        rule = self._settings.global_scene_change
        likeness = self._scene.likeness(now.stream_s, None if view is None else view.scene)
        if likeness is None:
            return Verdict()
        return _beyond("unlikeness", -likeness, -rule.raise_at, -rule.clear_at)._replace(
            evidence={"likeness": likeness, "limit": rule.raise_at}
        )

    def _deviates(
        self, name: str, value: float, raise_at: float, clear_at: float, extra: dict[str, float] | None = None
    ) -> Verdict:
        sensitivity = self._settings.sensitivity
        return _beyond(name, value, raise_at / sensitivity, clear_at / sensitivity, extra)


def _beyond(
    name: str, value: float, raise_at: float, clear_at: float, extra: dict[str, float] | None = None
) -> Verdict:
    is_bad = True if value >= raise_at else False if value <= clear_at else None
    return Verdict(is_bad, {name: value, "limit": raise_at, **(extra or {})})

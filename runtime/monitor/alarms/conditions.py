"""Evaluates each kind of event for a frame: its condition is met, not met, or undecided.

Where one problem hides another, only the first is reported: a black picture is not also dark, a covered one neither
dark nor blurry, a hazy one not blurry, and none of these a scene change. What passes by is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dpiqa.runtime.monitor.alarms.baseline import Baseline
from dpiqa.runtime.monitor.alarms.freeze import Stillness
from dpiqa.runtime.monitor.alarms.latch import Moment
from dpiqa.runtime.monitor.alarms.memory import Memories, Memory
from dpiqa.runtime.monitor.alarms.scene import Match
from dpiqa.runtime.monitor.alarms.view import View
from dpiqa.runtime.monitor.messages import LiveReading
from dpiqa.runtime.monitor.settings.alarms import AlarmRule, AlarmSettings
from dpiqa.runtime.reading import main_cause

# What the passing of something, and a change of light, make uncertain.
AGAINST_BASELINE = ("QualityDrop", "ImageTooBlurry", "LowContrast", "Obstructed")
_OF_LIGHT = ("ImageTooDark", "ImageTooBright")
_DARKEST = 0.5 / 255
# Times the baseline, and above the baseline: what distinguishes noise and compression from other causes.
_NOISE_FACTOR, _BLOCKINESS_STEP = 2.0, 0.2
_PASSING = 0.08  # the fraction of cells that something in front of the scene hides
_STAYS_S = 60.0  # what has hidden it for so long belongs to it
_LIT_AS_USUAL = 0.3  # the fraction of cells that shows that the light has not changed
_SAME_SCENE, _LIFT_LEVELS = 0.95, 10.0  # of haze: the scene is the same, and its dark parts are lighter
_COVERED_UNTIL = 0.5  # the likeness up to which a featureless picture shows something else than the scene
_DUSK_STOPS, _DUSK_NOISE = 0.7, 1.5  # darker than lately, or noisier, because the camera amplifies


class Verdict(NamedTuple):
    """Whether a condition is met, None where that is undecided, and the numbers behind it."""

    is_bad: bool | None = None
    evidence: Mapping[str, float | str] = MappingProxyType({})


def rules_by_kind(settings: AlarmSettings) -> dict[str, AlarmRule]:
    """The rules by kind of event, except SignalLoss, which does not depend on frames."""
    rules = (getattr(settings, name) for name in AlarmSettings.model_fields)
    return {type(rule).__name__: rule for rule in rules if isinstance(rule, AlarmRule)}


class Conditions:
    """Evaluates the frames of one camera against its settings and what is usual for it."""

    def __init__(self, settings: AlarmSettings, memories: Memories) -> None:
        self._settings, self._memories = settings, memories
        self._stillness = Stillness(settings.frozen)
        self._hidden_since_s: float | None = None
        self._lost_since_s: float | None = None
        self._has_fixed_scene = settings.profile == "camera"

    def evaluate(self, now: Moment, reading: LiveReading, view: View) -> tuple[dict[str, Verdict], bool]:
        """The verdict of each kind of event, and whether the frame may be learnt from as far as its scene goes."""
        memories, void = self._memories, reading.void is not None
        black, dark, bright = self._black(reading), self._dark(reading), self._bright(reading)
        is_black = bool(black.is_bad)
        match = memories.current.scene.match(view) if self._has_fixed_scene else None
        is_covered = match is not None and match.likeness <= _COVERED_UNTIL
        is_lit = not is_black and not bright.is_bad and (not dark.is_bad or is_covered)
        obstructed = self._obstructed(now, view, match) if is_lit else Verdict()
        if obstructed.is_bad and is_covered:
            dark = Verdict()
        is_hidden = is_black or bool(dark.is_bad) or bool(bright.is_bad) or bool(obstructed.is_bad) or void
        if not is_hidden and self._has_fixed_scene:
            memories.follow_light(now.stream_s, view.is_grey)
        hazy = Verdict() if is_hidden else self._hazy(match)
        verdicts = {
            "Black": black,
            "ImageTooDark": Verdict() if is_black else dark,
            "ImageTooBright": bright,
            "Obstructed": obstructed,
            "LowContrast": hazy,
            "ImageTooBlurry": Verdict() if is_hidden or hazy.is_bad else self._blurry(now, reading),
            "Frozen": self._frozen(view),
            "GlobalSceneChange": Verdict() if is_hidden else self._scene_change(view),
        }
        verdicts["QualityDrop"] = self._quality_drop(now, reading, verdicts)
        is_passing = self._is_passing(now, match)
        if is_passing or memories.is_uncertain:
            kinds = AGAINST_BASELINE
            if is_passing and match is not None and match.unchanged >= _LIT_AS_USUAL:
                kinds += _OF_LIGHT  # what goes by is white or black, not the picture
            verdicts |= {kind: Verdict() for kind in kinds if verdicts[kind].is_bad}
        is_settled = self._hidden_since_s is None or now.stream_s - self._hidden_since_s > _STAYS_S
        return verdicts, not memories.is_uncertain and is_settled

    def _is_passing(self, now: Moment, match: Match | None) -> bool:
        """Whether a part of the scene has been hidden, but not for long."""
        if match is None or match.hidden < _PASSING:
            self._hidden_since_s = None
            return False
        self._hidden_since_s = now.stream_s if self._hidden_since_s is None else self._hidden_since_s
        return now.stream_s - self._hidden_since_s < self._settings.baseline.passing_s

    def _quality_drop(self, now: Moment, reading: LiveReading, others: Mapping[str, Verdict]) -> Verdict:
        rule, memory = self._settings.quality_drop, self._memories.current
        scores = memory.scores.at(now.wall_time)
        if not scores.is_ready:
            return Verdict()
        signals = {name: getattr(reading.signals, name) for name in ("focus", "noise", "blockiness")}
        limit = max(rule.points, rule.spreads * scores.spread) / self._settings.sensitivity
        drop = scores.median - reading.score
        verdict = _beyond("drop", drop, limit, rule.recover * limit, {"baseline": scores.median, **signals})
        if not verdict.is_bad and self._is_slow_loss(memory, scores, reading):
            usual = memory.week_scores.median
            slow = {"drop": usual - reading.score, "limit": rule.slow_points, "baseline": usual, **signals}
            verdict = Verdict(True, slow | {"since": "days"})
        cause = self._likely_cause(reading, others) if verdict.is_bad else None
        return verdict._replace(evidence={"likely_cause": cause, **verdict.evidence}) if cause else verdict

    def _is_slow_loss(self, memory: Memory, scores: Baseline, reading: LiveReading) -> bool:
        """Whether the baseline itself has sunk, and not because it is getting dark."""
        week, brightness, noise = memory.week_scores, memory.week_brightness, memory.week_noise
        limit = self._settings.quality_drop.slow_points / self._settings.sensitivity
        if not week.is_ready or week.median - max(scores.median, reading.score) < limit:
            return False
        stops = math.log2(max(brightness.median, _DARKEST) / max(reading.signals.brightness, _DARKEST))
        return stops < _DUSK_STOPS and reading.signals.noise < _DUSK_NOISE * max(noise.median, _DARKEST)

    def _likely_cause(self, reading: LiveReading, others: Mapping[str, Verdict]) -> str | None:
        """Noise and haze if the signals show them, else the model's strongest cause, else what the signals show.

        Noise comes first because the model gets a shrunk frame, in which grain may look like compression.
        """
        baselines, signals = self._memories.current.signals, reading.signals
        is_learnt = self._memories.current.is_ready
        symptoms = {
            "exposure_low": others["Black"].is_bad or others["ImageTooDark"].is_bad,
            "exposure_high": others["ImageTooBright"].is_bad,
            "obstruction": others["Obstructed"].is_bad,
            "noise": is_learnt and self._is_noisy(reading),
            "contrast": others["LowContrast"].is_bad,
            "compression": is_learnt and signals.blockiness > _BLOCKINESS_STEP + baselines["blockiness"].median,
            "blur": others["ImageTooBlurry"].is_bad,
        }
        measured = next((cause for cause, is_present in symptoms.items() if is_present), None)
        return measured if measured in ("noise", "contrast") else main_cause(reading.causes) or measured

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

    def _obstructed(self, now: Moment, view: View, match: Match | None) -> Verdict:
        rule, baseline = self._settings.obstructed, self._memories.current.signals["featureless"]
        is_partly = match is not None and match.lost >= rule.partly / self._settings.sensitivity
        if not is_partly:
            self._lost_since_s = None
        elif self._lost_since_s is None:
            self._lost_since_s = now.stream_s
        if match is not None and self._lost_since_s is not None:
            evidence = {"lost": match.lost, "limit": rule.partly}
            return Verdict(True if now.stream_s - self._lost_since_s >= rule.partly_hold_s else None, evidence)
        if not baseline.is_ready:
            return Verdict()
        growth = view.featureless - baseline.median
        evidence = {"featureless": view.featureless, "baseline": baseline.median}
        return self._deviates("growth", growth, rule.raise_at, rule.clear_at, evidence)

    def _hazy(self, match: Match | None) -> Verdict:
        rule = self._settings.low_contrast
        if match is None or not self._memories.current.is_ready:
            return Verdict()
        evidence = {"contrast": match.gain, "lift": match.lift}
        verdict = self._deviates("lost", 1 - match.gain, rule.raise_at, rule.clear_at, evidence)
        is_haze = match.likeness >= _SAME_SCENE and match.lift >= _LIFT_LEVELS
        return verdict if is_haze or not verdict.is_bad else verdict._replace(is_bad=False)

    def _blurry(self, now: Moment, reading: LiveReading) -> Verdict:
        rule, memory, focus = self._settings.image_too_blurry, self._memories.current, reading.signals.focus
        baseline, scores = memory.signals["focus"], memory.scores.at(now.wall_time)
        if not baseline.is_ready or not scores.is_ready or self._is_noisy(reading):
            return Verdict()  # heavy noise hides focus
        lost = 1 - focus / max(baseline.median, 1e-6)
        evidence = {"focus": focus, "baseline": baseline.median}
        verdict = self._deviates("lost", lost, rule.raise_at, rule.clear_at, evidence)
        return verdict if reading.score < scores.median else verdict._replace(is_bad=False)

    def _is_noisy(self, reading: LiveReading) -> bool:
        return reading.signals.noise > _NOISE_FACTOR * self._memories.current.signals["noise"].median

    def _frozen(self, view: View) -> Verdict:
        if view.steps is None:
            return Verdict()
        is_still, difference = self._stillness.judge(view.steps)
        return Verdict(is_still, {"difference": difference, "limit": self._settings.frozen.still})

    def _scene_change(self, view: View) -> Verdict:
        rule = self._settings.global_scene_change
        match = self._memories.reference.match(view) if self._has_fixed_scene else None
        if match is None:
            return Verdict()
        return _beyond("unlikeness", -match.likeness, -rule.raise_at, -rule.clear_at)._replace(
            evidence={"likeness": match.likeness, "limit": rule.raise_at}
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

"""From readings to events: on the example clip, on generated scenes, and on anything at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import encode, moving
from made import photo
from messages import BEGAN, FRAME, noise_frame, reading, signals, status

from dpiqa import Scorer
from dpiqa.runtime.monitor.alarms.source_alarms import KINDS, SourceAlarms
from dpiqa.runtime.monitor.messages import Event, LiveReading, SourceState
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.signals import OpenCvMeter, open_meter
from dpiqa.runtime.video import Frame, read_video

CLIP = Path(__file__).parents[3] / "examples" / "clip.mp4"
FROZEN_AT_S, FROZEN_S = 10.4, 4.0


class Change(NamedTuple):
    kind: str
    state: str
    at_s: float


def changes(events: Iterable[Event], at_s: float) -> list[Change]:
    return [Change(event.kind, event.state, at_s) for event in events]


def play(alarms: SourceAlarms, frames: Iterable[tuple[float, float, np.ndarray]]) -> list[Change]:
    """Play (seconds, score, frame), with the signals measured."""
    meter, reported = OpenCvMeter(), []
    for at_s, score, frame in frames:
        reported += changes(alarms.on_reading(reading(at_s, score, meter.measure(frame)), frame), at_s)
    return reported


def still(
    frame: np.ndarray, first_s: float, last_s: float, score: float = 80
) -> Iterator[tuple[float, float, np.ndarray]]:
    """A camera of 5 frames a second that looks at one thing, with the grain that every sensor has."""
    rng = np.random.default_rng(0)
    for step in range(round(first_s * 5), round(last_s * 5)):
        grain = rng.normal(0, 2, frame.shape)
        yield step / 5, 80, np.clip(frame + grain, 0, 255).astype(np.uint8)


def clip_that_freezes() -> Iterator[tuple[Frame, float]]:
    """The example clip at 5 frames a second, that stands still for a while; with the time of each frame."""
    for frame in read_video(str(CLIP), 5):
        assert frame.pts_s is not None
        is_later = frame.pts_s > FROZEN_AT_S + 0.01
        yield frame, frame.pts_s + FROZEN_S * is_later
        if abs(frame.pts_s - FROZEN_AT_S) < 0.01:
            yield from ((frame, frame.pts_s + step / 5) for step in range(1, round(FROZEN_S * 5) + 1))


@pytest.mark.slow
def test_the_example_clip_raises_its_events_and_no_others() -> None:
    engine, meter = Scorer(CLIP.parents[1] / "models" / "dpiqa-lite0-int8.onnx").engine, open_meter()
    alarms = SourceAlarms(AlarmSettings.model_validate({"frozen": {"hold_s": 1.5}}))
    events: list[tuple[Event, float]] = []
    score: dict[int, float] = {}
    for frame, at_s in clip_that_freezes():
        if frame.index not in score:
            score = {frame.index: float(engine.score(frame.pixels).prediction.score)}
        measured = replace(reading(at_s, score[frame.index], meter.measure(frame.pixels)), causes={})
        events += [(event, at_s) for event in alarms.on_reading(measured, frame.pixels)]

    stretches = {
        ("QualityDrop", 2.5): 5.0,
        ("ImageTooBlurry", 2.5): 5.0,
        ("QualityDrop", 7.0): 9.5,
        ("Frozen", FROZEN_AT_S): FROZEN_AT_S + FROZEN_S,
        ("QualityDrop", 11.5 + FROZEN_S): 14.0 + FROZEN_S,
        ("QualityDrop", 16.0 + FROZEN_S): 18.0 + FROZEN_S,
        ("ImageTooDark", 16.0 + FROZEN_S): 18.0 + FROZEN_S,
    }
    raised = [(event, at_s) for event, at_s in events if event.state == "raised"]
    causes = [event.evidence.get("likely_cause") for event, _ in raised if event.kind == "QualityDrop"]
    assert causes == ["blur", "noise", "compression", "exposure_low"]
    cleared = {(event.kind, event.began): (event, at_s) for event, at_s in events if event.state == "cleared"}
    assert [event.kind for event, _ in raised] == [kind for kind, _ in stretches]
    for (event, raised_s), ((_, began_s), ended_s) in zip(raised, stretches.items(), strict=True):
        assert event.began - BEGAN == pytest.approx(began_s, abs=0.3)
        assert raised_s == pytest.approx(began_s, abs=2)
        over, cleared_s = cleared[event.kind, event.began]
        assert over.ended is not None
        assert over.ended - BEGAN == pytest.approx(ended_s, abs=0.3)
        assert cleared_s == pytest.approx(ended_s, abs=2)
        assert event.evidence["pts_s"] == pytest.approx(event.began - BEGAN)
        assert event.thumbnail is not None
        thumbnail = cv2.imdecode(np.frombuffer(event.thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert thumbnail is not None
        assert thumbnail.shape == (180, 320, 3)
    assert alarms.baseline == pytest.approx(86, abs=2)


@pytest.mark.parametrize("grain", [0, 1])
def test_a_freeze_before_the_encoder_is_reported_in_spite_of_its_key_frames(grain: int, tmp_path: Path) -> None:
    rng, picture = np.random.default_rng(0), photo(180, 320)
    noises = [rng.normal(0, grain, picture.shape) if grain else np.zeros(picture.shape) for _ in range(250)]
    still = [np.clip(picture + noise, 0, 255).astype(np.uint8) for noise in noises]
    clip = encode(tmp_path / "still.mp4", [*moving(50, 180, 320), *still])
    played = [(frame.pts_s or 0.0, 80.0, frame.pixels) for frame in read_video(str(clip), 5)]
    meter, limits = OpenCvMeter(), AlarmSettings().frozen
    steps = [meter.measure(frame).difference or 0.0 for at_s, _, frame in played if at_s > 2.5]
    assert min(steps) < limits.still  # between key frames the encoder leaves out a live camera's grain
    assert max(steps) > limits.moving  # at first the key frames of what froze differ as well
    reported = play(SourceAlarms(AlarmSettings.model_validate({"frozen": {"hold_s": 3}})), played)
    assert [(kind, state) for kind, state, _ in reported if kind == "Frozen"] == (
        [] if grain else [("Frozen", "raised")]
    )
    assert all(5 <= at_s <= 10 for kind, _, at_s in reported if kind == "Frozen")


def test_the_cause_that_the_model_names_is_likelier_than_the_signals_but_for_noise() -> None:
    blurred, grainy = signals(focus=0.1), replace(signals(), noise=0.1)
    for measured, causes, likely in (
        (blurred, {}, "blur"),
        (blurred, {"noise": 0.2}, "blur"),
        (blurred, {"noise": 0.3, "motion": 0.6}, "motion"),
        (grainy, {"compression": 0.9}, "noise"),
    ):
        alarms = SourceAlarms()
        run(alarms, [replace(reading(at_s), causes={}) for at_s in seconds(0, 5)])
        drops = [replace(reading(at_s, 40, measured), causes=causes) for at_s in seconds(5, 7)]
        (raised,) = [e for item in drops for e in alarms.on_reading(item, FRAME) if e.kind == "QualityDrop"]
        assert raised.evidence["likely_cause"] == likely


def test_another_scene_is_reported_until_it_has_settled() -> None:
    frames = [*still(noise_frame(1), 0, 15), *still(noise_frame(2), 15, 30)]
    reported = play(SourceAlarms(), frames)
    assert [(kind, state) for kind, state, _ in reported] == [
        ("GlobalSceneChange", "raised"),
        ("GlobalSceneChange", "cleared"),
    ]
    assert 15.9 <= reported[0].at_s <= 16.3
    assert 26 <= reported[1].at_s <= 28


def test_a_scene_that_comes_back_at_once_or_never_settles_is_no_change() -> None:
    blink = [*still(noise_frame(1), 0, 15), *still(noise_frame(2), 15, 15.6), *still(noise_frame(1), 15.6, 20)]
    assert play(SourceAlarms(), blink) == []
    patrol = [frame for stop in range(6) for frame in still(noise_frame(stop % 3), stop * 5, stop * 5 + 5)]
    assert play(SourceAlarms(), patrol) == []


def test_a_covered_camera_is_obstructed_and_not_also_another_scene() -> None:
    hand = cv2.GaussianBlur(noise_frame(5), (0, 0), 60)
    reported = play(
        SourceAlarms(), [*still(noise_frame(1), 0, 15), *still(hand, 15, 20), *still(noise_frame(1), 20, 25)]
    )
    assert [(kind, state) for kind, state, _ in reported] == [("Obstructed", "raised"), ("Obstructed", "cleared")]
    assert 15.9 <= reported[0].at_s <= 16.3


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        ("Black", np.zeros_like(FRAME)),
        ("ImageTooDark", (FRAME / 16 + 5).astype(np.uint8)),
        ("ImageTooBright", np.clip(FRAME.astype(float) * 4, 0, 255).astype(np.uint8)),
    ],
)
def test_light_that_is_wrong_is_reported_by_one_name(kind: str, frame: np.ndarray) -> None:
    reported = play(SourceAlarms(), [*still(FRAME, 0, 5), *still(frame, 5, 8), *still(FRAME, 8, 12)])
    assert [(change.kind, change.state) for change in reported] == [(kind, "raised"), (kind, "cleared")]
    assert reported[0].at_s == pytest.approx(6, abs=0.3)
    assert reported[1].at_s == pytest.approx(9.5, abs=0.3)


def drop(at_s: float, points: float) -> LiveReading:
    return reading(at_s, 80 - points)


def run(alarms: SourceAlarms, readings: Iterable[LiveReading]) -> list[Change]:
    return [event for item in readings for event in changes(alarms.on_reading(item, FRAME), item.pts_s or 0)]


def seconds(first: float, last: float) -> list[float]:
    return [step / 5 for step in range(round(first * 5), round(last * 5))]


def test_sensitivity_scales_what_counts_as_a_drop() -> None:
    for sensitivity, points, is_raised in (
        (1, 11, False),
        (1, 13, True),
        (2, 7, True),
        (2, 5, False),
        (0.5, 20, False),
    ):
        alarms = SourceAlarms(AlarmSettings(sensitivity=sensitivity))
        readings = [*map(reading, seconds(0, 5)), *(drop(at_s, points) for at_s in seconds(5, 8))]
        assert bool(run(alarms, readings)) == is_raised, (sensitivity, points)


def test_a_lasting_drop_becomes_the_new_baseline() -> None:
    alarms = SourceAlarms(AlarmSettings.model_validate({"baseline": {"adapt_s": 20}}))
    reported = run(alarms, [*map(reading, seconds(0, 5)), *(drop(at_s, 30) for at_s in seconds(5, 60))])
    assert [(kind, state) for kind, state, _ in reported] == [("QualityDrop", "raised"), ("QualityDrop", "cleared")]
    assert 25 <= reported[1].at_s <= 31
    assert alarms.baseline == 50


def test_what_is_switched_off_is_not_reported() -> None:
    off = {kind: {"enabled": False} for kind in ("quality_drop", "frozen", "signal_loss")}
    alarms = SourceAlarms(AlarmSettings.model_validate(off))
    assert run(alarms, [*map(reading, seconds(0, 5)), *(drop(at_s, 60) for at_s in seconds(5, 9))]) == []
    assert alarms.on_status(status("down")) == []


def test_a_lost_signal_is_reported_once_until_it_is_back() -> None:
    alarms, reported = SourceAlarms(), []
    states: list[SourceState] = ["connecting", "up", "stalled", "down", "connecting", "down", "up", "up", "down"]
    for number, state in enumerate(states):
        reported += changes(alarms.on_status(status(state)), number)
    assert reported == [("SignalLoss", "raised", 2), ("SignalLoss", "cleared", 6), ("SignalLoss", "raised", 8)]


anything = st.lists(
    st.tuples(
        st.floats(0.05, 2),  # seconds that pass
        st.sampled_from([80.0, 81.0, 79.0, 74.0, 60.0, 20.0]),  # score
        st.sampled_from([0.3, 0.29, 0.18, 0.05]),  # focus
        st.sampled_from([0.5, 0.5, 0.08, 0.02]),  # brightness
        st.sampled_from([0.0, 0.0, 0.95, 1.0]),  # black
        st.sampled_from([0.02, 0.02, 0.0]),  # difference
        st.sampled_from(["", "", "", "", "up", "down", "stalled"]),  # a change of state before it
        st.floats(-1e7, 1e7),  # the wall clock
    ),
    max_size=60,
)


def replay(steps: list[tuple[Any, ...]], jumps: bool) -> list[Change]:
    now_s, reported = 0.0, []
    alarms = SourceAlarms(AlarmSettings.model_validate({"frozen": {"hold_s": 2}}), lambda: now_s)
    for step_s, score, focus, brightness, black, difference, state, jump_s in steps:
        now_s += step_s
        item = reading(now_s, score, signals(focus, brightness, black, 0.0, difference))
        wall_time = BEGAN + (jump_s if jumps else now_s)
        item = LiveReading(**{**vars(item), "wall_time": wall_time, "pts_s": None})
        if state:
            reported += changes(alarms.on_status(status(state)), now_s)
        events = alarms.on_reading(item, FRAME)
        assert all(event.ended is None or event.ended >= event.began for event in events)
        reported += changes(events, now_s)
    return reported


@settings(deadline=None, max_examples=60)
@given(anything)
def test_no_sequence_flaps_and_no_jump_of_the_wall_clock_matters(steps: list[tuple[Any, ...]]) -> None:
    reported = replay(steps, jumps=False)
    assert replay(steps, jumps=True) == reported
    for kind in KINDS:
        of_kind = [item for item in reported if item.kind == kind]
        assert [item.state for item in of_kind] == (["raised", "cleared"] * len(of_kind))[: len(of_kind)]
        if kind != "SignalLoss":
            assert all(later.at_s - earlier.at_s >= 1.0 for earlier, later in pairwise(of_kind))

"""From frames to events: on the example clip and on generated scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live import encode, moving
from made import photo
from messages import BEGAN, FRAME, noise_frame, reading, signals
from playing import QUICK, kinds, play, run, seconds, still

from dpiqa import Scorer
from dpiqa.runtime.monitor.alarms.scene import Scene
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.alarms.view import View
from dpiqa.runtime.monitor.messages import Event
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.signals import OpenCvMeter, open_meter
from dpiqa.runtime.video import Frame, read_video

CLIP = Path(__file__).parents[3] / "examples" / "clip.mp4"
FROZEN_AT_S, FROZEN_S = 10.4, 4.0


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
    alarms = SourceAlarms(AlarmSettings.model_validate({"frozen": {"hold_s": 1.5}, "baseline": {"learn_s": 2}}))
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


TURNED = ("GlobalSceneChange", "raised")
BACK = ("GlobalSceneChange", "cleared")


def test_another_scene_stays_known_until_the_camera_is_turned_back() -> None:
    frames = [*still(noise_frame(1), 0, 15), *still(noise_frame(2), 15, 60), *still(noise_frame(1), 60, 65)]
    reported = play(SourceAlarms(QUICK), frames)
    assert kinds(reported) == [TURNED, BACK]
    assert 19.9 <= reported[0].at_s <= 20.5
    assert 61 <= reported[1].at_s <= 62


@pytest.mark.slow
def test_another_scene_is_accepted_by_a_person_or_in_time() -> None:
    alarms = SourceAlarms(QUICK)
    play(alarms, still(noise_frame(1), 0, 15))
    assert not alarms.accept_view("me")
    assert kinds(play(alarms, still(noise_frame(2), 15, 30))) == [TURNED]
    assert alarms.accept_view("me")
    assert kinds(play(alarms, still(noise_frame(2), 30, 45))) == [BACK]
    assert kinds(play(alarms, still(noise_frame(1), 45, 55))) == [TURNED]

    impatient = SourceAlarms(AlarmSettings.model_validate({"global_scene_change": {"accept_s": 20}}))
    reported = play(impatient, [*still(noise_frame(1), 0, 15), *still(noise_frame(2), 15, 60)])
    assert kinds(reported) == [TURNED, BACK]
    assert reported[1].at_s == pytest.approx(35, abs=0.5)


def test_a_changed_view_has_a_baseline_of_its_own() -> None:
    alarms = SourceAlarms(QUICK)
    play(alarms, still(noise_frame(1), 0, 15, 80))
    assert kinds(play(alarms, still(noise_frame(2), 15, 40, 50))) == [TURNED]  # and no QualityDrop
    assert alarms.baseline == 50
    play(alarms, still(noise_frame(1), 40, 45, 80))
    assert alarms.baseline == 80


def test_a_scene_that_comes_back_at_once_or_never_settles_is_no_change() -> None:
    blink = [*still(noise_frame(1), 0, 15), *still(noise_frame(2), 15, 19), *still(noise_frame(1), 19, 24)]
    assert play(SourceAlarms(QUICK), blink) == []
    patrol = [frame for stop in range(6) for frame in still(noise_frame(stop % 3), stop * 5, stop * 5 + 5)]
    assert play(SourceAlarms(QUICK), patrol) == []


def test_a_covered_camera_is_obstructed_and_neither_dark_nor_another_scene() -> None:
    hand = np.repeat(np.linspace(2, 30, 320)[None, :, None], 180, 0).repeat(3, 2)
    reported = play(
        SourceAlarms(QUICK), [*still(noise_frame(1), 0, 15), *still(hand, 15, 30), *still(noise_frame(1), 30, 35)]
    )
    assert kinds(reported) == [("Obstructed", "raised"), ("Obstructed", "cleared")]
    assert reported[0].at_s <= 25
    assert 31 <= reported[1].at_s <= 32


@pytest.mark.parametrize("paint", [(200, 60, 40), (255, 255, 255), (0, 0, 0)])
def test_what_passes_by_is_not_reported(paint: tuple[int, int, int]) -> None:
    def truck(at_s: float) -> np.ndarray:
        frame = noise_frame(1).copy()
        frame[60:150, : int(320 * min(1, at_s % 20 / 2))] = paint
        return frame

    seen = list(still(noise_frame(1), 0, 15))
    for first in (20, 40):
        seen += [(at_s, 40, truck(at_s)) for at_s in seconds(first, first + 4)]
        seen += list(still(noise_frame(1), first + 4, first + 10))
    assert play(SourceAlarms(QUICK), seen) == []


def test_the_edges_of_what_goes_by_do_not_become_what_is_usual() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(AlarmSettings().global_scene_change)
    wall = cv2.addWeighted(
        photo(270, 480), 0.7, cv2.GaussianBlur(rng.integers(0, 256, (270, 480, 3), np.uint8), (0, 0), 1), 0.3, 0
    )
    for at_s in range(200):
        frame = wall.copy()
        if at_s > 20:
            top, left = 190, rng.integers(0, 420)
            frame[top : top + 60, left : left + 60] = rng.integers(0, 256, (60, 60, 1))
        scene.learn(at_s, View(frame))
    match = scene.match(View(wall))
    assert match is not None
    assert match.lost == 0


def test_drops_on_a_part_of_the_lens_are_found_and_blur_of_the_whole_is_not_them() -> None:
    clean = cv2.resize(noise_frame(1), (480, 270))
    clean = np.clip(clean + np.random.default_rng(1).normal(0, 25, clean.shape), 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(clean, (0, 0), 6)
    drops = clean.copy()
    drops[:, :150] = soft[:, :150]
    settings = {"baseline": {"learn_s": 2}, "obstructed": {"partly_hold_s": 5}}
    for frame, expected in ((drops, "Obstructed"), (soft, "ImageTooBlurry")):
        alarms = SourceAlarms(AlarmSettings.model_validate(settings))
        play(alarms, still(clean, 0, 15))
        assert kinds(play(alarms, still(frame, 15, 25, 75))) == [(expected, "raised")]


def test_fog_is_low_contrast_and_neither_dimming_nor_blur_is() -> None:
    scene = noise_frame(1).astype(float)
    dim, fog = scene * 0.6, scene * 0.6 + 80
    for frame, expected in ((fog, [("LowContrast", "raised")]), (dim, [])):
        alarms = SourceAlarms(QUICK)
        play(alarms, still(scene.astype(np.uint8), 0, 15))
        assert kinds(play(alarms, still(frame.astype(np.uint8), 15, 25))) == expected


def test_infrared_is_learnt_as_a_state_of_its_own() -> None:
    day = noise_frame(1)
    night = cv2.cvtColor(cv2.cvtColor(day // 2, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    alarms = SourceAlarms(QUICK)
    for at_s, frame, score in ((0, day, 80), (20, night, 45), (40, day, 80), (60, night, 45)):
        grain = np.random.default_rng(0).normal(0, 2, (2, *day.shape[:2], 1))  # grey, as infrared's
        items = [
            (now, score, np.clip(frame + grain[i % 2], 0, 255).astype(np.uint8))
            for i, now in enumerate(seconds(at_s, at_s + 20))
        ]
        assert play(alarms, items) == []
        assert alarms.baseline == score
    play(
        alarms,
        [(now, 20, np.clip(night + grain[i % 2], 0, 255).astype(np.uint8)) for i, now in enumerate(seconds(80, 85))],
    )
    assert alarms.baseline == 45


def test_a_clock_in_the_picture_does_not_hide_a_freeze() -> None:
    def frozen(at_s: float, hides: bool) -> np.ndarray:
        frame = noise_frame(1).copy()
        cv2.putText(
            frame, f"{at_s:05.1f}", (4, 16) if hides else (140, 95), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255)
        )
        return frame

    for is_overlay, expected in ((True, [("Frozen", "raised"), ("Frozen", "cleared")]), (False, [])):
        frames = [(at_s, 80.0, frozen(at_s, is_overlay)) for at_s in seconds(0, 15)]
        reported = play(SourceAlarms(), [*frames, *still(noise_frame(1), 15, 20)])
        assert kinds(reported) == expected


@pytest.mark.slow
def test_a_bad_start_is_forgotten_within_three_minutes_of_a_good_picture() -> None:
    noisy, good = replace(signals(0.9), noise=0.2), signals(0.3)
    alarms = SourceAlarms()
    assert run(alarms, [reading(at_s, 40, noisy) for at_s in range(300)]) == []
    assert alarms.baseline == 40
    assert run(alarms, [reading(at_s, 80, good) for at_s in range(300, 480)]) == []
    assert alarms.baseline == 80
    assert [change.kind for change in run(alarms, [reading(at_s, 40, noisy) for at_s in range(480, 490)])] == [
        "QualityDrop"
    ]


def test_a_frame_between_dark_and_bright_enough_is_judged_by_the_others() -> None:
    dim = signals(brightness=0.07)  # 2.8 stops: neither 2.5 nor 3
    alarms = SourceAlarms(QUICK)
    run(alarms, map(reading, seconds(0, 5)))
    blurred = [reading(at_s, 75, signals(0.05, 0.5)) for at_s in seconds(5, 8)]
    assert kinds(run(alarms, blurred)) == [("ImageTooBlurry", "raised")]
    assert kinds(run(alarms, [reading(at_s, 80, dim) for at_s in seconds(8, 11)])) == [("ImageTooBlurry", "cleared")]


def test_no_blur_where_the_score_is_as_usual() -> None:
    alarms = SourceAlarms(QUICK)
    assert (
        run(alarms, [*map(reading, seconds(0, 5)), *(reading(at_s, 80, signals(0.1)) for at_s in seconds(5, 9))]) == []
    )


@pytest.mark.slow
def test_a_slow_loss_is_reported_against_the_week_but_dusk_is_not() -> None:
    for dusk, expected in ((1.0, ["QualityDrop"]), (0.4, [])):
        alarms = SourceAlarms(AlarmSettings.model_validate({"baseline": {"window_s": 1200}}))
        steps = [reading(at_s, 80) for at_s in range(0, 36000, 60)]
        fading = range(36000, 50400, 60)
        for at_s in fading:
            part = (at_s - 36000) / 14400
            steps.append(reading(at_s, 80 - 30 * part, signals(brightness=0.5 * (1 - part * (1 - dusk)))))
        assert [kind for kind, state, _ in run(alarms, steps) if state == "raised"] == expected


def test_a_restart_keeps_what_is_usual_and_that_the_view_has_changed() -> None:
    alarms = SourceAlarms(QUICK)
    play(alarms, still(noise_frame(1), 0, 15, 80))
    restarted = SourceAlarms(QUICK)
    restarted.restore(json.loads(json.dumps(alarms.to_json())))
    assert kinds(play(restarted, still(noise_frame(1), 0, 3, 40))) == [("QualityDrop", "raised")]
    assert kinds(play(alarms, still(noise_frame(2), 15, 30, 80))) == [TURNED]
    restarted = SourceAlarms(QUICK)
    restarted.restore(json.loads(json.dumps(alarms.to_json())))
    assert kinds(play(restarted, still(noise_frame(2), 0, 5, 80))) == [TURNED]
    assert kinds(play(restarted, still(noise_frame(1), 5, 8, 80))) == [BACK]


@pytest.mark.parametrize("kept", [{}, {"memories": 3, "changed_since": None}, {"memories": {"usual": {"colour": 1}}}])
def test_what_was_kept_damaged_is_left_out(kept: dict[str, Any]) -> None:
    alarms = SourceAlarms(QUICK)
    alarms.restore(kept)
    assert run(alarms, map(reading, seconds(0, 5))) == []
    assert alarms.baseline == 80


def test_cuts_of_a_programme_are_no_events() -> None:
    rng = np.random.default_rng(0)
    shots = []
    for number, at_s in enumerate(range(0, 300, 6)):
        score = rng.uniform(30, 90)
        shots += [(now, score, frame) for now, _, frame in still(noise_frame(number % 7), at_s, at_s + 2)]
    assert play(SourceAlarms(AlarmSettings.model_validate({"profile": "broadcast"})), shots) == []


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        ("Black", np.zeros_like(FRAME)),
        ("ImageTooDark", (FRAME / 16 + 5).astype(np.uint8)),
        ("ImageTooBright", np.clip(FRAME.astype(float) * 4, 0, 255).astype(np.uint8)),
    ],
)
def test_light_that_is_wrong_is_reported_by_one_name(kind: str, frame: np.ndarray) -> None:
    reported = play(SourceAlarms(QUICK), [*still(FRAME, 0, 5), *still(frame, 5, 8), *still(FRAME, 8, 12)])
    assert [(change.kind, change.state) for change in reported] == [(kind, "raised"), (kind, "cleared")]
    assert reported[0].at_s == pytest.approx(6, abs=0.3)
    assert reported[1].at_s == pytest.approx(9.5, abs=0.3)

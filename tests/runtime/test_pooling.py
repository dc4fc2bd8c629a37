"""Pooling against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpiqa.runtime.pooling import Pool, harmonic_mean
from dpiqa.runtime.reading import Reading, Summary, band

curves = st.lists(st.tuples(st.floats(0.001, 2), st.floats(0, 100)), min_size=1, max_size=60)


def _pool(pts: list[float], scores: list[float]) -> Pool:
    pool = Pool("clip.mp4")
    for index, (time, score) in enumerate(zip(pts, scores, strict=True)):
        pool.add(Reading(source="clip.mp4", index=index, pts_s=time, score=score, band=band(score)))
    return pool


def test_three_seconds_with_a_bad_one() -> None:
    scores = [80.0] * 10 + [20.0] * 10 + [80.0] * 10
    summary = _pool([index / 10 for index in range(30)], scores).summary()
    assert (summary.frames, summary.source, summary.type, summary.band) == (30, "clip.mp4", "summary", "good")
    assert summary.duration_s == pytest.approx(3)
    assert summary.mean == pytest.approx(60)
    assert summary.min == summary.p5 == 20
    assert summary.harmonic_mean == pytest.approx(1 / ((2 / 81 + 1 / 21) / 3) - 1)
    assert summary.worst_second.pts_s == pytest.approx(1)
    assert summary.worst_second.mean == pytest.approx(20)


def test_a_stretch_below_the_limit_has_the_cause_that_most_of_its_frames_name() -> None:
    pool = Pool("clip.mp4")
    frames = [(80, {}), (30, {"blur": 0.9}), (20, {"blur": 0.8, "noise": 0.9}), (25, {"blur": 0.5}), (90, {"blur": 1}),
              (10, {"noise": 0.1}), (80, {}), (59, {"dark": 1}),
              (64, {"dark": 1}), (58, {"dark": 1}), (66, {}), (61, {"dark": 1})]  # fmt: skip
    for index, (score, causes) in enumerate(frames):
        pool.add(Reading(source="clip.mp4", index=index, pts_s=index, score=score, band=band(score), causes=causes))
    assert list(pool.dips(60)) == [(1, 3, 20, "blur"), (7, 9, 58, "dark")]


def test_the_worst_second_weighs_frames_at_a_variable_rate() -> None:
    summary = _pool([0, 0.5, 1, 1.1, 1.2, 1.3, 2, 2.5], [50, 50, 50, 10, 10, 10, 50, 50]).summary()
    assert summary.worst_second.pts_s == 1
    assert summary.worst_second.mean == 20


def test_a_video_shorter_than_a_second_is_its_own_worst_second() -> None:
    summary = _pool([0, 0.1], [40, 60]).summary()
    assert (summary.worst_second.pts_s, summary.worst_second.mean) == (0, 50)
    assert summary.duration_s == pytest.approx(0.2)


def test_a_single_frame() -> None:
    summary = _pool([0], [33]).summary()
    assert summary.mean == summary.p5 == summary.min == summary.worst_second.mean == 33
    assert summary.duration_s == 0


@given(curves)
def test_pooled_scores_lie_between_the_extremes(curve: list[tuple[float, float]]) -> None:
    pts = np.cumsum([gap for gap, _ in curve]).tolist()
    scores = [score for _, score in curve]
    pool = _pool(pts, scores)
    summary = pool.summary()
    low, high = min(scores) - 1e-6, max(scores) + 1e-6
    assert low <= summary.p5 <= high
    assert low <= summary.worst_second.mean <= high
    assert low <= summary.harmonic_mean <= summary.mean + 1e-6 <= high + 1e-6
    assert sum(1 for _ in pool.intervals(1.0)) <= len(curve)
    assert min(part.min for part in pool.intervals(1.0)) == summary.min
    assert Summary.model_validate_json(summary.to_json()).frames == len(curve)


def test_one_black_frame_does_not_take_the_harmonic_mean_to_zero() -> None:
    assert harmonic_mean(np.array([80.0] * 99 + [0.0])) > 40


@pytest.mark.parametrize(
    ("score", "name"),
    [(0, "bad"), (19.99, "bad"), (20, "poor"), (40, "fair"), (60, "good"), (79.9, "good"), (80, "excellent")],
)
def test_bands_begin_at_20_40_60_80(score: float, name: str) -> None:
    assert band(score) == name


def test_a_reading_cannot_be_changed_and_survives_json() -> None:
    reading = Reading(source="a\nb.jpg", score=12.34567, band="bad", causes={"blur": 0.5}, latency_ms={"total": 1.0})
    with pytest.raises(ValueError, match="frozen"):
        reading.score = 99  # type: ignore[misc]
    line = reading.to_json()
    assert "\n" not in line
    assert Reading.model_validate_json(line) == reading.model_copy(update={"score": 12.346})

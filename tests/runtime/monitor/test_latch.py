"""Holding, releasing, and telling the time: what keeps an alarm from flapping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpiqa.runtime.monitor.alarms.baseline import Baseline, DayBaseline
from dpiqa.runtime.monitor.alarms.latch import Latch, Moment, StreamClock
from dpiqa.runtime.monitor.settings.alarms import BaselineSettings

HOLD_S, RELEASE_S = 1.0, 1.5

steps = st.lists(
    st.tuples(st.floats(0.01, 3), st.sampled_from([True, True, False, False, None]), st.floats(-1e6, 1e6)), max_size=80
)


@given(steps)
def test_raised_and_cleared_alternate_after_their_hold_times(steps: list[tuple[float, bool | None, float]]) -> None:
    latch, now_s = Latch(HOLD_S, RELEASE_S), 0.0
    held_s: dict[bool, float | None] = {True: None, False: None}
    for step_s, verdict, wall_time in steps:
        now_s += step_s
        for side in held_s:
            held_s[side] = (now_s if held_s[side] is None else held_s[side]) if verdict is side else None
        was_raised = latch.is_raised
        change = latch.step(Moment(now_s, wall_time), verdict)
        assert change == (None if latch.is_raised is was_raised else "cleared" if was_raised else "raised")
        began_s = held_s[not was_raised]
        is_due = began_s is not None and now_s - began_s >= (RELEASE_S if was_raised else HOLD_S)
        assert (change is not None) == is_due
        if change is not None:
            moment = latch.ended if was_raised else latch.began
            assert moment is not None
            assert moment.stream_s == began_s


def test_an_interruption_begins_the_hold_anew() -> None:
    latch = Latch(1, 1)
    assert latch.step(Moment(0, 0), True) is None
    latch.interrupt()
    assert latch.step(Moment(10, 10), True) is None
    assert latch.step(Moment(11, 11), True) == "raised"


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(-1e9, 1e9)), min_size=1, max_size=50))
def test_time_never_goes_back(frames: list[tuple[float, float | None]]) -> None:
    read_s, before_s = 0.0, 0.0
    clock = StreamClock(lambda: read_s)
    for step_s, pts_s in frames:
        read_s += step_s
        now_s = clock.at(pts_s)
        assert now_s >= before_s
        assert now_s - before_s <= max(60, step_s) + 1e-6
        before_s = now_s


def test_a_files_own_time_counts_and_a_stream_without_one_has_the_clocks() -> None:
    read_s = 0.0
    clock = StreamClock(lambda: read_s)
    assert [clock.at(pts_s) for pts_s in (5.0, 5.5, 7.0)] == [0, 0.5, 2]
    read_s = 3.0
    assert clock.at(1.0) == 5  # it began anew
    read_s = 4.0
    assert clock.at(None) == 6


def test_a_live_stream_may_catch_up_but_not_jump() -> None:
    read_s = 0.0
    clock = StreamClock(lambda: read_s, is_live=True)
    times = []
    for pts_s in (5.0, 5.2, 6.9, 47.0, 47.2, 3.0):
        times.append(clock.at(pts_s))
        read_s += 0.25
    assert times == pytest.approx([0, 0.2, 1.9, 2.15, 2.35, 2.6])


def test_a_baseline_is_the_robust_middle_of_its_window() -> None:
    baseline = Baseline(100, 10)
    for second in range(9):
        baseline.learn(second, 80)
    assert not baseline.is_ready
    with pytest.raises(ValueError, match="not learnt enough"):
        _ = baseline.median
    for second in range(9, 40):
        baseline.learn(second, 10 if second % 4 == 0 else 80 + second % 3)
    assert 80 <= baseline.median <= 82
    assert baseline.spread < 3
    for second in range(200, 230):
        baseline.learn(second, 50)
    assert baseline.median == 50  # what came before has left the window


def test_a_baseline_holds_few_values_for_a_long_window() -> None:
    baseline = Baseline(3600, 10)
    for step in range(40_000):
        baseline.learn(step / 5, step / 40_000)
    assert 0.75 < baseline.median < 0.8  # the last hour of 2.2
    assert 3000 < baseline.span_s <= 3600
    assert len(baseline._values) < 512


def test_an_hour_of_the_day_has_its_own_baseline_once_seen_on_two_days() -> None:
    baseline = DayBaseline(BaselineSettings(by_hour=True))
    day = [80.0] * 12 + [60.0] * 12
    for hour in range(48):
        for minute in range(60):
            now_s = hour * 3600 + minute * 60
            score, is_known = day[hour % 24], baseline.at(now_s).is_ready
            if hour > 25 and minute > 1:
                assert is_known
                assert baseline.at(now_s).median == score
            baseline.learn(now_s, now_s, score, hour < 12)

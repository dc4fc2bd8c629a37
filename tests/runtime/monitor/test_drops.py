"""From readings alone to events: drops, lost signals, clocks that jump, and anything at all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import BEGAN, FRAME, reading, signals, status
from playing import QUICK, Change, changes, drop, run, seconds

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS, SourceAlarms
from dpiqa.runtime.monitor.messages import LiveReading, SourceState
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings


def test_the_cause_that_the_model_names_is_likelier_than_the_signals_but_for_noise() -> None:
    blurred, grainy = signals(focus=0.1), replace(signals(), noise=0.1)
    for measured, causes, likely in (
        (blurred, {}, "blur"),
        (blurred, {"noise": 0.2}, "blur"),
        (blurred, {"noise": 0.3, "motion": 0.6}, "motion"),
        (grainy, {"compression": 0.9}, "noise"),
    ):
        alarms = SourceAlarms(QUICK)
        run(alarms, [replace(reading(at_s), causes={}) for at_s in seconds(0, 5)])
        drops = [replace(reading(at_s, 40, measured), causes=causes) for at_s in seconds(5, 7)]
        (raised,) = [e for item in drops for e in alarms.on_reading(item, FRAME) if e.kind == "QualityDrop"]
        assert raised.evidence["likely_cause"] == likely


def test_sensitivity_scales_what_counts_as_a_drop() -> None:
    for sensitivity, points, is_raised in (
        (1, 11, False),
        (1, 13, True),
        (2, 7, True),
        (2, 5, False),
        (0.5, 20, False),
    ):
        alarms = SourceAlarms(AlarmSettings(sensitivity=sensitivity, baseline=QUICK.baseline))
        readings = [*map(reading, seconds(0, 5)), *(drop(at_s, points) for at_s in seconds(5, 8))]
        assert bool(run(alarms, readings)) == is_raised, (sensitivity, points)


def test_a_lasting_drop_becomes_the_new_baseline() -> None:
    alarms = SourceAlarms(AlarmSettings.model_validate({"baseline": {"adapt_s": 20, "learn_s": 2}}))
    reported = run(alarms, [*map(reading, seconds(0, 5)), *(drop(at_s, 30) for at_s in seconds(5, 60))])
    assert [(kind, state) for kind, state, _ in reported] == [("QualityDrop", "raised"), ("QualityDrop", "cleared")]
    assert 25 <= reported[1].at_s <= 31
    assert alarms.baseline == 50


def test_what_is_switched_off_is_not_reported() -> None:
    off = {kind: {"enabled": False} for kind in ("quality_drop", "frozen", "signal_loss")}
    alarms = SourceAlarms(AlarmSettings.model_validate({**off, "baseline": {"learn_s": 2}}))
    assert run(alarms, [*map(reading, seconds(0, 5)), *(drop(at_s, 60) for at_s in seconds(5, 9))]) == []
    assert alarms.on_status(status("down")) == []


def test_a_lost_signal_is_reported_once_until_it_is_back() -> None:
    alarms, reported = SourceAlarms(), []
    states: list[SourceState] = ["connecting", "up", "stalled", "down", "connecting", "down", "up", "up", "down"]
    for number, state in enumerate(states):
        reported += changes(alarms.on_status(status(state)), number)
    assert reported == [("SignalLoss", "raised", 2), ("SignalLoss", "cleared", 6), ("SignalLoss", "raised", 8)]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 86400.0, -86400.0])
def test_an_event_is_as_long_as_it_was_when_the_clock_is_set(jump_s: float) -> None:
    now_s = 0.0
    alarms = SourceAlarms(clock=lambda: now_s)
    events = []
    for now_s in seconds(0, 40):
        set_s = jump_s if now_s >= 20 else 0.0
        black = 1.0 if 10 <= now_s < 30 else 0.0
        item = replace(reading(now_s, measured=signals(clipped_low=black)), wall_time=BEGAN + set_s + now_s, pts_s=None)
        events += alarms.on_reading(item, FRAME, now_s)
        if now_s in (15, 25):
            state = "down" if now_s == 15 else "up"
            events += alarms.on_status(replace(status(state), wall_time=BEGAN + set_s + now_s))
    lengths_s = {one.kind: one.ended - one.began for one in events if one.ended is not None}
    assert lengths_s == {"Black": 20, "SignalLoss": 10}


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
    alarms = SourceAlarms(
        AlarmSettings.model_validate({"frozen": {"hold_s": 2}, "baseline": {"learn_s": 2}}), lambda: now_s
    )
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

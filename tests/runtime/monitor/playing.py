"""Frames played to the alarms of one camera, and what they report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import NamedTuple

import numpy as np
from messages import FRAME, reading

from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.messages import Event, LiveReading
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.signals import open_meter

QUICK = AlarmSettings.model_validate({"baseline": {"learn_s": 2}})
GRAINS = {shape: np.random.default_rng(0).normal(0, 2, (7, *shape)) for shape in (FRAME.shape, (270, 480, 3))}
LIVING = [
    np.clip(FRAME + np.random.default_rng(seed).normal(0, 4, FRAME.shape), 0, 255).astype(np.uint8) for seed in (1, 2)
]


class Change(NamedTuple):
    kind: str
    state: str
    at_s: float


def changes(events: Iterable[Event], at_s: float) -> list[Change]:
    return [Change(event.kind, event.state, at_s) for event in events]


def play(alarms: SourceAlarms, frames: Iterable[tuple[float, float, np.ndarray]]) -> list[Change]:
    """Play (seconds, score, frame), with the signals measured."""
    meter, reported = open_meter(), []
    for at_s, score, frame in frames:
        reported += changes(alarms.on_reading(reading(at_s, score, meter.measure(frame)), frame), at_s)
    return reported


def still(
    frame: np.ndarray, first_s: float, last_s: float, score: float = 80
) -> Iterator[tuple[float, float, np.ndarray]]:
    """A camera of 5 frames a second that looks at one thing, with the grain that every sensor has."""
    for step in range(round(first_s * 5), round(last_s * 5)):
        grain = GRAINS[frame.shape][step % 7]
        yield step / 5, score, np.clip(frame + grain, 0, 255).astype(np.uint8)


def kinds(reported: Iterable[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.state) for change in reported]


def drop(at_s: float, points: float) -> LiveReading:
    return reading(at_s, 80 - points)


def run(alarms: SourceAlarms, readings: Iterable[LiveReading]) -> list[Change]:
    frames = cycle(LIVING)
    return [event for item in readings for event in changes(alarms.on_reading(item, next(frames)), item.pts_s or 0)]


def seconds(first: float, last: float) -> list[float]:
    return [step / 5 for step in range(round(first * 5), round(last * 5))]

"""Messages to feed alarms and sinks with, what became of them, and waiting for what threads do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from made import photo

from dpiqa.runtime.monitor.messages import Event, LiveReading, Message, Signals, SourceState, Status
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet
from dpiqa.runtime.reading import band

BEGAN = 1_700_000_000.0
FRAME = photo(180, 320)


def signals(
    focus: float = 0.3,
    brightness: float = 0.5,
    clipped_low: float = 0.0,
    clipped_high: float = 0.0,
    difference: float | None = 0.01,
) -> Signals:
    return Signals(focus, brightness, clipped_low, clipped_high, 0.6, 0.01, 0.02, difference)


def reading(
    at_s: float = 0.0, score: float = 80.0, measured: Signals | None = None, source: str = "cam", index: int = 0
) -> LiveReading:
    latency_ms = {"decode": 4.0, "wait": 1.0, "preprocess": 2.0, "infer": 20.0, "signals": 2.0, "total": 30.0}
    causes = {"blur": 0.1, "noise": 0.4}
    return LiveReading(
        source, BEGAN + at_s, at_s, index, 320, 180, score, band(score), causes, measured or signals(), latency_ms, 79.0
    )


def event(state: Literal["raised", "cleared"] = "raised", kind: str = "Frozen", source: str = "cam") -> Event:
    ended = BEGAN + 5 if state == "cleared" else None
    return Event(kind, source, state, BEGAN, ended, {"difference": 0.0, "reason": "still"}, b"\xff\xd8jpeg")


def status(
    state: SourceState = "up", source: str = "cam", dropped: int = 0, scored: int = 0, reconnects: int = 0
) -> Status:
    return Status(source, state, "frames arrive", BEGAN, reconnects, dropped, scored)


def noise_frame(seed: int) -> np.ndarray:
    return photo(180, 320, seed)


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"waited {timeout_s:g} s in vain: {what}"
        time.sleep(0.02)


def write(messages: list[Message], **settings: object) -> None:
    sinks = SinkSet(SinkSettings.model_validate({"sqlite": None} | settings)).sinks
    for message in messages:
        for sink in sinks:
            sink.put(message)
    for sink in sinks:
        sink.close(10)
        assert sink.counts.failed == sink.counts.dropped == 0


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as db:
        result = db.execute(query).fetchall()
    db.close()
    return result

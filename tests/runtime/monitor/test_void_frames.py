"""A frame that shows nothing is said to in every sink, and is no part of what is normal for a camera."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
from live import encode, moving, watching
from made import photo
from messages import BEGAN, FRAME, reading, rows, status, write
from real_servers import free_port, sinks_of

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.dashboard.board import Board
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.report_metrics import report_metrics
from dpiqa.runtime.monitor.messages import LiveReading, Snapshot, to_json
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.snapshots import Snapshots


def _void(at_s: float = 0.0) -> LiveReading:
    return replace(reading(at_s, 0.0), void="black", causes={})


def test_the_monitor_says_so(engine: Engine, tmp_path: Path) -> None:
    clip = encode(tmp_path / "dark.ts", [*moving(30), *[np.zeros_like(photo())] * 30])
    with watching(engine, {"source": str(clip), "name": "a"}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    first, last = seen.readings()[0], seen.readings()[-1]
    assert (first.void, last.void) == (None, "black")
    assert first.score > 0
    assert (last.score, last.band, last.causes) == (0, "bad", {})


def test_the_baseline_does_not_learn_from_it() -> None:
    settings = AlarmSettings.model_validate({"baseline": {"learn_s": 2}})
    alarms, minimum = SourceAlarms(settings), settings.baseline.minimum
    for number in range(2 * minimum):
        alarms.on_reading(_void(number), np.zeros_like(FRAME))
    assert alarms.baseline is None
    for number in range(2 * minimum, 4 * minimum):
        alarms.on_reading(reading(number), np.roll(FRAME, number % 2, 1))
    assert alarms.baseline == 80
    for number in range(4 * minimum, 12 * minimum):
        alarms.on_reading(_void(number), np.zeros_like(FRAME))
    assert alarms.baseline in (80, None)


def test_files_and_history_have_it(tmp_path: Path) -> None:
    names = {"jsonl": tmp_path / "m.jsonl", "csv": tmp_path / "m.csv", "sqlite": tmp_path / "h.db"}
    write([status(), reading(), _void(1)], **{name: {"path": str(path)} for name, path in names.items()})
    lines = [json.loads(line) for line in names["jsonl"].read_text().splitlines()]
    assert [line["void"] for line in lines if line["type"] == "reading"] == [None, "black"]
    assert [row["void"] for row in csv.DictReader(names["csv"].read_text().splitlines())] == ["", "black"]
    assert rows(names["sqlite"], "SELECT void, score FROM readings ORDER BY wall_time") == [
        (None, 80.0),
        ("black", 0.0),
    ]


def test_the_worst_picture_of_an_hour_shows_something(tmp_path: Path) -> None:
    snapshots = Snapshots()
    dark = snapshots.take(_void(), np.zeros_like(FRAME), None)
    light = snapshots.take(reading(1), FRAME, None)
    assert dark is not None
    assert light is not None
    assert (dark.void, to_json(dark)["void"], light.void) == ("black", "black", None)
    write([reading(), light, _void(2), dark], sqlite={"path": str(tmp_path / "h.db")})
    (worst,) = report_metrics(Archive(tmp_path / "h.db"), BEGAN - 60, BEGAN + 3600).worst
    assert worst.score == 80


def test_metrics_have_it() -> None:
    port = free_port()
    with sinks_of(prometheus=f"127.0.0.1:{port}") as sinks:
        for void, message in ((1.0, _void()), (0.0, reading(1))):
            for sink in sinks:
                sink.put(message)
            line = f'dpiqa_frame_void{{kind="black",source="cam"}} {void}'
            text = ""
            for _ in range(200):
                text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
                if line in text:
                    break
            assert line in text
            assert 'dpiqa_frame_void{kind="white",source="cam"} 0.0' in text
            assert ("dpiqa_cause_ratio{" in text) == (not void)


def test_the_dashboard_has_it() -> None:
    board = Board()
    board.apply([status(), _void(), Snapshot("cam", BEGAN, 0.0, b"jpeg", None, "black")])
    (camera,) = board.cameras()
    assert (camera.void, camera.score) == ("black", 0)
    board.apply([reading(1)])
    assert board.cameras()[0].void is None

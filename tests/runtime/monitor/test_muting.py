"""Muted cameras: for a time, in maintenance windows, over a restart; and what becomes of their events."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from live import encode, moving, watching
from messages import event
from pydantic import ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.alarms.kept import MemoryFile
from dpiqa.runtime.monitor.alarms.muting import MAINTENANCE, Muting
from dpiqa.runtime.monitor.messages import Action
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.settings.file import load_settings
from dpiqa.runtime.monitor.settings.maintenance import MaintenanceWindow
from dpiqa.runtime.monitor.watch import Monitor


class Clock:
    """The wall clock and a monotonic one; `at` lets them go on to so many seconds after the start."""

    def __init__(self, wall_time: float = 0.0) -> None:
        self.wall_time, self._passed_s = wall_time, 0.0

    def at(self, passed_s: float) -> float:
        self._passed_s = passed_s
        return self.wall_time + passed_s

    def monotonic(self) -> float:
        return self._passed_s


def window(**fields: Any) -> MaintenanceWindow:
    return MaintenanceWindow.model_validate({"time_zone": "Europe/Berlin", **fields})


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("fields", "now", "end"),
    [
        ({"start": "22:00", "end": "06:00"}, "2026-11-27T23:00", "2026-11-28T06:00"),
        ({"start": "22:00", "end": "06:00"}, "2026-11-28T05:59", "2026-11-28T06:00"),
        ({"start": "22:00", "end": "06:00"}, "2026-11-28T06:00", None),
        ({"start": "22:00", "end": "06:00", "days": ["fri"]}, "2026-11-28T05:00", "2026-11-28T06:00"),
        ({"start": "22:00", "end": "06:00", "days": ["sat"]}, "2026-11-28T05:00", None),
        ({"start": "01:00", "end": "04:00"}, "2026-03-29T03:30", "2026-03-29T04:00"),  # an hour that is skipped
        ({"start": "2026-12-24T18:00", "end": "2026-12-27T06:00"}, "2026-12-25T12:00", "2026-12-27T06:00"),
        ({"start": "2026-12-24T18:00", "end": "2026-12-27T06:00"}, "2026-12-24T17:59", None),
    ],
)
def test_a_maintenance_window_is_in_its_own_time_zone(fields: dict[str, Any], now: str, end: str | None) -> None:
    assert window(**fields).end_at(berlin(now)) == (None if end is None else berlin(end))


def test_hours_are_read_as_yaml_writes_them(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "cameras: [{source: a.mp4, maintenance: [{start: 22:00, end: 06:30, days: [mon]},"
        " {start: 23:15:00, end: 01:00}]}]"
    )
    windows = load_settings(tmp_path / "c.yaml").cameras[0].maintenance
    assert [(str(one.start), str(one.end)) for one in windows] == [("22:00:00", "06:30:00"), ("23:15:00", "01:00:00")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": "22:00", "end": "2026-12-24T18:00"}, "a time of the day for both"),
        ({"start": "2026-12-24T18:00", "end": "2026-12-24T17:00"}, "is not after the start"),
        ({"start": "2026-12-24T18:00Z", "end": "2026-12-24T19:00Z"}, "leave out the offset"),
        ({"start": "2026-12-24T18:00", "end": "2026-12-24T19:00", "days": ["mon"]}, "leave them out with dates"),
        ({"start": "22:00", "end": "23:00", "days": []}, "at least 1"),
        ({"start": "22:00", "end": "23:00", "time_zone": "Middle/Earth"}, "unknown time zone"),
        ({"start": "22:00", "end": "23:00", "time_zone": "../etc"}, "unknown time zone"),
    ],
)
def test_what_is_no_window_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        window(**fields)


def test_an_event_is_muted_from_its_start_to_its_end() -> None:
    clock = Clock()
    muting = Muting((), clock.monotonic)
    assert [one.muted for one in muting.mark(clock.at(0), [event()])] == [False]
    muting.mute(0, 100, "Ada")
    assert [one.muted for one in muting.mark(clock.at(10), [event("cleared")])] == [False]
    assert [one.muted for one in muting.mark(clock.at(20), [event(), event("raised", "Black")])] == [True, True]
    assert [one.muted for one in muting.mark(clock.at(30), [event("cleared")])] == [True]
    outlasting = muting.mark(clock.at(100), [])
    assert [(one.kind, one.state, one.muted) for one in outlasting] == [("Black", "raised", False)]
    assert [one.muted for one in muting.mark(clock.at(110), [event("cleared", "Black")])] == [False]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 86400.0, -86400.0])
def test_a_mute_lasts_as_long_as_it_was_meant_to_when_the_clock_is_set(jump_s: float) -> None:
    clock = Clock(1.8e9)
    muting = Muting((), clock.monotonic)
    muting.mute(clock.at(0), 1.8e9 + 1800, "Ada")
    assert muting.current(clock.at(600)) == (1.8e9 + 1800, "Ada")
    clock.wall_time += jump_s
    assert muting.current(clock.at(601)) == (1.8e9 + 1800 + jump_s, "Ada")
    assert muting.current(clock.at(1799)) is not None
    assert muting.current(clock.at(1801)) is None


def test_a_person_ends_a_mute_and_a_window_early() -> None:
    muting = Muting((window(start="2026-12-24T18:00", end="2026-12-24T20:00"),))
    now = berlin("2026-12-24T19:00")
    assert muting.current(now) == (berlin("2026-12-24T20:00"), MAINTENANCE)
    muting.mute(now, now + 86400, "Ada")
    assert muting.current(now) == (now + 86400, "Ada")
    kept = Muting(())
    kept.restore(json.loads(json.dumps(muting.to_json())), now)
    assert kept.current(now) == (now + 86400, "Ada")
    kept.restore({"mute": "nonsense"}, now)
    muting.unmute(now)
    assert muting.current(now + 1) is None


@pytest.mark.slow
def test_a_muted_camera_of_a_running_monitor(engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = encode(tmp_path / "clip.ts", [*moving(75), *[np.zeros_like(moving()[0])] * 100, *moving(50)])
    camera = {"source": str(clip), "name": "cam", "live": True, "paced": True, "reconnect_ceiling_s": 0.3}
    caplog.set_level(logging.INFO, "dpiqa")
    with watching(engine, camera) as (monitor, seen):
        seen.wait(lambda: seen.readings())
        monitor.call_soon(lambda: monitor.act(Action("cam", "mute", "Ada", 0.0, until=4e9)))
        seen.wait(lambda: any(one.muted_by == "Ada" for one in seen.statuses()))
        seen.wait(lambda: any(one.kind == "Black" for one in seen.events()))
        monitor.call_soon(lambda: monitor.act(Action("cam", "unmute", "Bob", 1.0)))
        seen.wait(lambda: any(one.kind == "Black" and not one.muted for one in seen.events()))
        seen.wait(lambda: seen.statuses()[-1].muted_until is None)
    black = [one for one in seen.events() if one.kind == "Black"]
    assert [(one.state, one.muted) for one in black[:2]] == [("raised", True), ("raised", False)]
    assert [(one.action, one.by) for one in seen.messages if isinstance(one, Action)] == [
        ("mute", "Ada"),
        ("unmute", "Bob"),
    ]
    assert "cam: mute by Ada" in caplog.text
    assert "Black raised (muted), " in caplog.text


def test_a_mute_is_kept_over_a_restart(engine: Engine, stream: Path, tmp_path: Path) -> None:
    settings = MonitorSettings.model_validate({"cameras": [{"source": str(stream), "name": "cam"}]})
    memory = MemoryFile(tmp_path / "memory.json", "model")
    first = Monitor(settings, engine, [], memory=memory)
    first.act(Action("cam", "mute", "Ada", 0.0, until=4e9))
    first.stop()
    first.run()
    kept = json.loads((tmp_path / "memory.json").read_text())["cameras"]["cam"]["muting"]
    assert kept["mute"] == [4e9, "Ada"]
    second = Monitor(settings, engine, [], memory=memory)
    assert second._channels["cam"].muting.current(time.time()) == (4e9, "Ada")
    second.stop()
    second.run()


def test_a_misspelt_window_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"cameras": [{"source": "a", "maintenance": [{"begin": "22:00"}]}]})
    )
    with pytest.raises(InputError, match=r"c\.yaml:\d+: cameras\.0\.maintenance\.0\.begin: there is no such field"):
        load_settings(tmp_path / "c.yaml")

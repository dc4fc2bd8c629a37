"""The history: what it keeps and forgets, through kills and clocks that jump."""

from __future__ import annotations

import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from messages import BEGAN, event, reading, rows, status, write

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.settings.sinks import HistorySettings

NEVER = threading.Event()
KILLS = int(os.environ.get("DPIQA_KILLS", "10"))


def test_the_history_keeps_readings_minutes_events_and_changes_of_state(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    write([reading(0, 80), reading(1, 60), reading(90, 70), status(), status(scored=9), status("down")], sqlite=path)
    write([event(), event("cleared"), event("raised", "Black"), reading(2, 50, source="other")], sqlite=path)
    assert rows(path, "SELECT score, json_extract(causes, '$.noise') FROM readings WHERE source = 'cam'") == [
        (80, 0.4),
        (60, 0.4),
        (70, 0.4),
    ]
    minute = int(BEGAN // 60)
    assert rows(path, "SELECT minute, readings, sum, low, high FROM minutes WHERE source = 'cam'") == [
        (minute, 2, 140, 60, 80),
        (minute + 1, 1, 70, 70, 70),
    ]
    assert rows(path, "SELECT kind, began, ended, thumbnail FROM events") == [
        ("Frozen", BEGAN, BEGAN + 5, b"\xff\xd8jpeg"),
        ("Black", BEGAN, None, b"\xff\xd8jpeg"),
    ]
    assert rows(path, "SELECT state FROM statuses") == [("up",), ("down",)]


def test_another_process_that_looks_into_the_history_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dpiqa.runtime.monitor.history.writer._CHECK_EVERY_S", 0)
    path = tmp_path / "h.db"
    history = History(HistorySettings(path=path))
    look = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM readings'); db.close()"
    for number in range(3):
        history.write([reading(number)], NEVER)
        subprocess.run([sys.executable, "-c", look, str(path)], check=True)
    assert rows(path, "SELECT count(*) FROM readings") == [(3,)]
    history.close()


def test_an_event_that_a_kill_left_open_ends_where_the_next_begins(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    write([event()], sqlite=path)
    write([replace(event(), began=BEGAN + 60)], sqlite=path)
    assert rows(path, "SELECT began, ended FROM events") == [(BEGAN, BEGAN + 60), (BEGAN + 60, None)]


def test_the_history_forgets_what_is_old(tmp_path: Path) -> None:
    now = time.time()
    history = History(HistorySettings(path=tmp_path / "h.db", max_age_days=1))
    old = [replace(message, wall_time=now - 2 * 86400) for message in (reading(), status())]
    new = [replace(message, wall_time=now) for message in (reading(), status("down"))]
    history.write([*old, *new, event()], NEVER)
    history.trim(now)
    history.close()
    for table, count in (("readings", 1), ("minutes", 1), ("statuses", 1), ("events", 0)):
        assert rows(tmp_path / "h.db", f"SELECT count(*) FROM {table}") == [(count,)], table


def test_a_wall_clock_that_jumps_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, passed_s, jumped_s = tmp_path / "h.db", 0.0, 0.0
    monkeypatch.setattr("dpiqa.runtime.monitor.history.writer.monotonic", lambda: passed_s)
    monkeypatch.setattr("dpiqa.runtime.monitor.history.writer.time", lambda: BEGAN + passed_s + jumped_s)
    history = History(HistorySettings(path=path, max_age_days=1))

    def counted_after(seconds: float) -> int:
        nonlocal passed_s
        passed_s += seconds
        history.write([replace(reading(), wall_time=BEGAN + passed_s + jumped_s)], NEVER)
        return history._db.execute("SELECT count(*) FROM readings").fetchone()[0]

    assert [counted_after(120) for _ in range(40)] == list(range(1, 41))
    jumped_s = 1e8
    assert [counted_after(120) for _ in range(20)] == list(range(41, 61))
    jumped_s = 0.0  # somebody has mended it
    assert [counted_after(120) for _ in range(40)] == list(range(61, 101))
    assert counted_after(20 * 3600) == 101
    assert counted_after(2 * 3600) > 2
    jumped_s = 1e8
    counted_after(120)
    assert counted_after(3600) == 2  # for an hour it was no mistake: all older ones are
    history.close()


def test_what_was_written_is_not_lost_because_nothing_can_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passed_s, started = 0.0, time.time()
    monkeypatch.setattr("dpiqa.runtime.monitor.history.writer.monotonic", lambda: passed_s)
    monkeypatch.setattr("dpiqa.runtime.monitor.history.writer.time", lambda: started + passed_s)
    history = History(HistorySettings(path=tmp_path / "h.db"))
    history._db.execute("CREATE TRIGGER full BEFORE DELETE ON readings BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    history.write([replace(reading(), wall_time=-1.0)], NEVER)
    passed_s = 100.0
    history.write([reading()], NEVER)
    history.write([reading()], NEVER)
    history.close()
    assert rows(tmp_path / "h.db", "SELECT count(*) FROM readings") == [(3,)]
    assert caplog.messages == ["sqlite: old rows could not be deleted (disk is full)"]


def test_an_event_never_ends_before_it_began(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    write([event()], sqlite=path)
    write([replace(event(), began=BEGAN - 60)], sqlite=path)
    assert rows(path, "SELECT began, ended FROM events") == [(BEGAN, BEGAN), (BEGAN - 60, None)]


def test_the_history_stays_below_its_size(tmp_path: Path) -> None:
    path, now = tmp_path / "h.db", time.time()
    history = History(HistorySettings(path=path, max_mb=1))
    for batch in range(20):
        history.write([replace(reading(), wall_time=now + batch, index=batch * 500 + i) for i in range(500)], NEVER)
        history.trim(now)
    history.close()
    assert path.stat().st_size < 1_500_000
    ((first, last, count),) = rows(path, "SELECT min(idx), max(idx), count(*) FROM readings")
    assert last == 9999
    assert isinstance(first, int)
    assert count == 10_000 - first
    assert rows(path, "SELECT sum(readings) FROM minutes") == [(10_000,)]


def test_a_flood_of_events_stays_below_the_size_and_leaves_the_readings(tmp_path: Path) -> None:
    path, now = tmp_path / "h.db", time.time()
    history = History(HistorySettings(path=path, max_mb=1))
    history.write([replace(event(), began=now - 9, thumbnail=bytes(20_000))], NEVER)  # goes on
    for batch in range(40):
        flood = [replace(event("cleared", "Black"), began=now + batch, ended=now + batch, thumbnail=bytes(20_000))] * 5
        history.write([*flood, replace(reading(), wall_time=now + batch)], NEVER)
        history.trim(now)
    history.close()
    assert path.stat().st_size < 1_500_000
    assert rows(path, "SELECT count(*) FROM readings") == [(40,)]
    assert rows(path, "SELECT count(*) FROM events WHERE ended IS NULL") == [(1,)]
    assert rows(path, "SELECT max(began) FROM events") == [(now + 39,)]


def test_what_is_no_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, but longer than its header of a hundred bytes" * 5)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    for path in (text, other, tmp_path / "nowhere" / "h.db"):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(InputError, match=f"{path.name}: not a writable history"):
            History(HistorySettings(path=path))
        assert (path.read_bytes() if path.exists() else None) == before


WRITER = """
import pickle, sys, threading
from dataclasses import replace
from pathlib import Path
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.settings.sinks import HistorySettings
reading, event = pickle.loads(Path(sys.argv[2]).read_bytes())
history, index = History(HistorySettings(path=Path(sys.argv[1]))), int(sys.argv[3])
while True:
    batch = [replace(reading, index=index + i, wall_time=reading.wall_time + index + i) for i in range(20)]
    history.write([*batch, event], threading.Event())
    index += 20
    print(index, flush=True)
"""


@pytest.mark.slow
def test_a_kill_corrupts_nothing_and_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path, messages, written = tmp_path / "h.db", tmp_path / "messages", 0
    messages.write_bytes(pickle.dumps((reading(), event())))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(path), str(messages), str(written)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
            assert run.stdout is not None
            written = int(run.stdout.readline())
            time.sleep(random.uniform(0, 0.1))
            run.send_signal(signal.SIGKILL)
            rest = run.stdout.read().splitlines()
        written = int(rest[-1]) if rest and rest[-1] else written
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        ((found, last),) = rows(path, "SELECT count(DISTINCT idx), max(idx) FROM readings")
        assert isinstance(last, int)
        assert found == last + 1
        assert found in (written, written + 20)  # the last may have been killed before it could tell
        written = found
    ((total, held),) = rows(path, "SELECT (SELECT sum(readings) FROM minutes), (SELECT count(*) FROM readings)")
    assert total == held

"""Tries to break a running monitor, by a seed, and checks what must hold.

usage: PYTHONPATH=tests/runtime python tests/runtime/monitor/chaos.py FOLDER [--seconds S] [--seed N] [--actions N]
       [--back-s S] [--csv FILE]

Three cameras are fed over TCP by servers that die, stall, send garbage or another size; the settings are edited at
random, also wrongly and with ports that are taken; the history is removed, moved and damaged; webhooks fail; strangers
open connections to the dashboard, with few file handles for all; the wall clock is set an hour or a day forward or back
(by libfaketime, where it is installed). What must hold: after each disturbance of a camera ends, it is scored again
within ten seconds; a row that was seen in the history stays there, unless that file is taken away; no event is longer
than the run; memory and handles stay flat; SIGTERM ends it, and nothing is logged that nobody foresaw. On a machine
that has other work to do, --back-s allows for longer, and how often it was more than ten is among the figures.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from fake_camera import MODES, FakeCamera
from live import encode, free_port, moving

_BACK_S, _START_S, _STOOD_S = 10.0, 60.0, 15.0
_HANDLES, _MEMORY = 40, 1.35  # more handles than at the start, and times the memory of the start
_HANDLE_LIMIT, _STRANGERS = 256, 100
_CLOCKS = ("+0", "+3600", "-3600", "+86400", "-86400")  # seconds that the monitor's wall clock is off
_FAKE_TIME = Path("/usr/lib", f"{os.uname().machine}-linux-gnu", "faketime", "libfaketimeMT.so.1")
_ENDED_EVENTS = "SELECT began, ended FROM events WHERE ended IS NOT NULL"


class Chaos:
    """The monitor, what surrounds it, and the checks."""

    def __init__(
        self, folder: Path, model: Path, streams: dict[str, bytes], stream_s: float, seed: int, limit_s: float = _BACK_S
    ) -> None:
        self._limit_s = limit_s
        self.folder, self._model, self._random = folder, model, random.Random(seed)
        self.cameras = [FakeCamera(streams, stream_s) for _ in range(3)]
        self.settings, self.history = folder / "cameras.yaml", folder / "history.db"
        self._taken = socket.create_server(("127.0.0.1", 0))
        self._dashboard = free_port()
        self._strangers: list[socket.socket] = []
        self._seen: tuple[int, int] | None = None  # the history's inode, and its rows
        self.log: list[str] = []
        self.kinds: Counter[str] = Counter()  # how often each kind of thing was done
        self.back_s: list[float] = []
        self.stood_s = 0.0  # that the whole machine stood still, this process too, while a return was awaited
        self._clock = folder / "clock"
        self._began_s = time.monotonic()
        self.write_settings()
        self._set_clock("+0")
        with (folder / "log.txt").open("w") as log:
            command = [sys.executable, "-m", "dpiqa", "monitor", str(self.settings)]
            self.process = subprocess.Popen(command, stderr=log, cwd=folder, env={**os.environ, **self._fake_time()})
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (_HANDLE_LIMIT, _HANDLE_LIMIT))

    def write_settings(self, sinks: str = "", wrong: str = "") -> None:
        """A settings file with all cameras."""
        lines = [f"model: {self._model}", "fps: 5", wrong, "sinks:", f"  sqlite: {self.history}"]
        lines += [f"  dashboard: 127.0.0.1:{self._dashboard}", sinks, "cameras:"]
        for number, camera in enumerate(self.cameras):
            source = f"tcp://127.0.0.1:{camera.port}"
            lines.append(
                f"  - {{source: '{source}', name: cam{number}, read_timeout_s: 2, open_timeout_s: 3, stall_s: 1}}"
            )
        self.settings.write_text("\n".join(line for line in lines if line) + "\n")

    def disturb(self) -> str:
        """One action at random; returns what it was."""
        actions: list[Callable[[], str]] = [self._camera] * 4 + [self._reload] * 2
        actions += [self._history, self._reload_wrong, self._crowd]
        if _FAKE_TIME.exists():
            actions.append(self._jump)
        action = self._random.choice(actions)
        self.kinds[action.__name__.strip("_")] += 1
        return action()

    def _jump(self) -> str:
        seconds = self._random.choice(_CLOCKS)
        self._set_clock(seconds)
        return f"clock {seconds} s"

    def _set_clock(self, seconds: str) -> None:
        """Set the monitor's clock, in one step: it may read the file at any time."""
        (self.folder / "clock.new").write_text(seconds)
        (self.folder / "clock.new").replace(self._clock)

    def _fake_time(self) -> dict[str, str]:
        if not _FAKE_TIME.exists():
            return {}
        options = dict.fromkeys(("FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"), "1")
        return {"LD_PRELOAD": str(_FAKE_TIME), "FAKETIME_TIMESTAMP_FILE": str(self._clock), **options}

    def _camera(self) -> str:
        number = self._random.randrange(len(self.cameras))
        self.cameras[number].mode = self._random.choice(MODES)
        return f"cam{number} {self.cameras[number].mode}"

    def _reload(self) -> str:
        sinks = self._random.choice(
            [
                "",
                f"  jsonl: {self.folder / 'out.jsonl'}",
                f"  prometheus: 127.0.0.1:{self._taken.getsockname()[1]}",
                "  webhooks: ['http://127.0.0.1:9/']",
                "  csv: /no/such/folder/x.csv",
            ]
        )
        self.write_settings(sinks)
        self.process.send_signal(signal.SIGHUP)
        return f"reload{sinks}"

    def _reload_wrong(self) -> str:
        self.write_settings(wrong=self._random.choice(["fps: -1", "fpss: 3", "engine: [", "threads: many"]))
        self.process.send_signal(signal.SIGHUP)
        return "wrong settings"

    def _history(self) -> str:
        kind = self._random.choice(["removed", "moved", "damaged"])
        self._seen = None
        with suppress(OSError):
            if kind == "removed":
                self.history.unlink()
            elif kind == "moved":
                self.history.rename(self.folder / f"moved{time.time_ns()}.db")
            else:
                self.history.write_bytes(b"garbage" * 1000)
        return f"history {kind}"

    def _crowd(self) -> str:
        """Connect as strangers who ask nothing; those of before leave."""
        self.dismiss()
        with suppress(OSError):
            for _ in range(_STRANGERS):
                self._strangers.append(socket.create_connection(("127.0.0.1", self._dashboard), 1))
        return f"{len(self._strangers)} strangers"

    def dismiss(self) -> None:
        """The strangers leave."""
        for connection in self._strangers:
            connection.close()
        self._strangers.clear()

    def check_history(self) -> None:
        """No row is gone that was there at the last check, if it is still the same file."""
        with suppress(OSError, sqlite3.DatabaseError):
            with closing(sqlite3.connect(f"file:{self.history}?mode=ro", uri=True)) as db:
                (rows,) = db.execute("SELECT count(*) FROM readings").fetchone()
            before, self._seen = self._seen, (self.history.stat().st_ino, rows)
            if before is not None and before[0] == self._seen[0]:
                assert rows >= before[1], f"{before[1]} rows, then {rows}"

    def latest(self) -> dict[str, tuple[int, int]]:
        """The number of each camera's last row in the history, with that of the file."""
        with suppress(OSError, sqlite3.Error):
            with closing(sqlite3.connect(f"file:{self.history}?mode=ro", uri=True)) as db:
                rows = db.execute("SELECT source, max(rowid) FROM readings GROUP BY source").fetchall()
            return {source: (self.history.stat().st_ino, row) for source, row in rows}
        return {}

    def calm(self, within_s: float | None = None) -> None:
        """All is well again: every camera is scored within so many seconds, by default the limit, from now on."""
        within_s = self._limit_s if within_s is None else within_s
        for camera in self.cameras:
            camera.mode = "good"
        began = time.monotonic()
        time.sleep(0.5)  # what was scored just before is in the history
        before = self.latest()
        missing = {f"cam{number}" for number in range(len(self.cameras))}
        stood_s = 0.0
        while missing:
            step_s = time.monotonic()
            late_s = step_s - began - stood_s
            assert self.process.poll() is None, "the monitor ended"
            assert late_s < within_s, f"not scored within {within_s:g} s: {missing}, {self.latest()}"
            time.sleep(0.2)
            missing -= {name for name, row in self.latest().items() if row != before.get(name)}
            step_s = time.monotonic() - step_s
            stood_s += step_s if step_s > _STOOD_S else 0.0
        self.stood_s += stood_s
        self.back_s.append(time.monotonic() - began - stood_s)
        self.check_history()

    def usage(self) -> tuple[int, int]:
        """Open handles, and resident memory in bytes."""
        base = Path(f"/proc/{self.process.pid}")
        pages = int((base / "statm").read_text().split()[1])
        return len(list((base / "fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        for camera in self.cameras:
            camera.close()
        self._taken.close()
        self.dismiss()

    def end(self) -> float:
        """SIGTERM ends it with status 0, and nothing was logged that nobody foresaw; returns the seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        assert self.process.wait(10) == 0
        took_s = time.monotonic() - began
        assert "Traceback" not in (self.folder / "log.txt").read_text()
        with closing(sqlite3.connect(self.history)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            lengths_s = [ended - began for began, ended in db.execute(_ENDED_EVENTS)]
        assert all(0 <= length_s <= time.monotonic() - self._began_s for length_s in lengths_s), lengths_s
        return took_s


def run(chaos: Chaos, seconds: float, actions: int) -> dict[str, float]:
    """Disturb for so many seconds, calm now and then; returns figures. Raises AssertionError for what does not hold."""
    chaos.calm(_START_S)
    start_s = chaos.back_s.pop()
    first_handles, first_memory = chaos.usage()
    began, done = time.monotonic(), 0
    interval_s = seconds / actions
    while (passed_s := time.monotonic() - began) < seconds:
        chaos.log.append(f"{passed_s:.1f} s: {chaos.disturb()}")
        done += 1
        time.sleep(interval_s)
        if done % 8 == 0:
            chaos.calm()
    chaos.dismiss()
    chaos.calm()
    handles, memory = chaos.usage()
    assert handles <= first_handles + _HANDLES, f"{first_handles} handles, then {handles}"
    assert memory <= _MEMORY * first_memory, f"{first_memory / 1e6:.0f} MB, then {memory / 1e6:.0f} MB"
    end_s = chaos.end()
    return {
        "actions": done,
        **{f"of them: {kind}": count for kind, count in sorted(chaos.kinds.items())},
        "first scored after, s": start_s,
        "times all cameras came back": len(chaos.back_s),
        "all scored again after, median, s": statistics.median(chaos.back_s),
        "all scored again after, longest, s": max(chaos.back_s),
        "of them after more than 10 s": sum(seconds > _BACK_S for seconds in chaos.back_s),
        "the machine stood still meanwhile, s": chaos.stood_s,
        "handles at the start": first_handles,
        "handles at the end": handles,
        "memory at the start, MB": first_memory / 1e6,
        "memory at the end, MB": memory / 1e6,
        "SIGTERM to exit, s": end_s,
        "load of the machine": os.getloadavg()[2],
    }


def main() -> None:
    """Run for long, from a shell."""
    from dpiqa.runtime.machine import processor
    from dpiqa.runtime.models import INT8_MODEL, shipped_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--actions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--back-s", type=float, default=_BACK_S)
    parser.add_argument("--csv", type=Path, help="Path of a CSV for the figures.")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    streams = {
        "good": encode(options.folder / "good.ts", moving(1500)).read_bytes(),
        "other": encode(options.folder / "other.ts", moving(1500, 144, 192)).read_bytes(),
    }
    chaos = Chaos(options.folder, shipped_model(INT8_MODEL), streams, 60, options.seed, options.back_s)
    try:
        figures = run(chaos, options.seconds, options.actions)
        print(json.dumps(figures))
        if options.csv is not None:
            with options.csv.open("w", newline="") as file:
                title = f"seed {options.seed}, {options.actions} actions in {options.seconds:g} s, {processor()}"
                title += f"; a return was allowed {options.back_s:g} s, nice {os.nice(0)}"
                rows = [(name, round(value, 2), title) for name, value in figures.items()]
                csv.writer(file).writerows([("what", "value", "of"), *rows])
    finally:
        print(*chaos.log[-20:], sep="\n", file=sys.stderr)
        chaos.close()


if __name__ == "__main__":
    main()

"""Repeated failures of what `dpiqa monitor` depends on, and their effect.

    python benchmarks/monitor_faults.py [--restarts 20] [--outage-s 60] [--stops 20] [--kills 100] [--csv FILE]

The RTSP server is killed and restarted; the disk of the history is full, the broker dead and the webhook's server gone,
for a minute each; the monitor is stopped and killed. Needs the packages of benchmarks/monitor.py, Mosquitto, and the
right to mount a tmpfs.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Annotated, Any

import typer
from breakable import Breakable, Broker, Disk, Hook
from measured_on import measured_on
from monitor import ROOT, Row, Server, show
from process_memory import memory_mb

from dpiqa.errors import EngineError
from dpiqa.runtime.program import run

_PATIENCE_S = 120.0


class Watch:
    """`dpiqa monitor` as a user runs it, and the contents of its JSON lines."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._file, self._lines = folder / "cameras.yaml", folder / "messages.jsonl"
        sinks = {"jsonl": {"path": str(self._lines), "max_mb": 1000}} | settings.pop("sinks")
        self._file.write_text(json.dumps({"status_interval_s": 1, **settings, "sinks": sinks}))  # YAML reads JSON
        self._offset = 0
        self.arrivals: list[float] = []  # wall times of the frames that were scored
        self.states: dict[str, str] = {}
        self.lost: dict[str, int] = {}
        self.losses: list[str] = []
        self.torn = 0

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "dpiqa", "monitor", str(self._file)]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        atexit.register(self._process.kill)  # where something else fails

    def end(self, number: int) -> float:
        """Send a signal, wait for the end, and return the seconds that took."""
        began = monotonic()
        self._process.send_signal(number)
        self._process.wait()
        return monotonic() - began

    @property
    def resources(self) -> tuple[int, int]:
        """Numbers of open file handles and threads of the process."""
        process = Path("/proc", str(self._process.pid))
        return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

    @property
    def resident_mb(self) -> float:
        """Memory of the process, in megabytes of 1024 KiB."""
        return memory_mb(self._process.pid, "VmRSS")

    def listen(self) -> None:
        """Read the messages since the last call."""
        if not self._lines.exists():
            return
        with self._lines.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(line)

    def wait_for(self, condition: Callable[[], bool], name: str) -> float:
        """Wait until `condition` is true, and return the seconds that took; EngineError when it takes too long."""
        began = monotonic()
        while self.listen() or not condition():
            if monotonic() - began > _PATIENCE_S or self._process.poll() is not None:
                status = self._process.poll()
                raise EngineError(f"waited for {name} in vain; states {self.states}, exit status {status}")
            sleep(0.02)
        return monotonic() - began

    def wait_for_more(self, count: int) -> None:
        """Wait for `count` more readings."""
        total = len(self.arrivals) + count
        self.wait_for(lambda: len(self.arrivals) >= total, "readings")

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.torn += bool(line)
            return
        if message["type"] == "reading":
            self.arrivals.append(message["wall_time"])
        elif message["type"] == "status":
            self.states[message["source"]] = message["state"]
            self.lost = message["lost"]
        elif message["kind"] == "SignalLoss":
            self.losses.append(message["state"])


def restarts(folder: Path, server: Server, times: int) -> Iterator[Row]:
    """The server of all cameras is killed and restarted."""
    watch = Watch(folder, {"cameras": _cameras(server), "sinks": {"sqlite": str(folder / "history.db")}})

    def all_are(*states: str) -> Callable[[], bool]:
        return lambda: (
            len(watch.states) == len(server.urls) and all(watch.states[name] in states for name in watch.states)
        )

    waits_s, resources = [], []
    watch.start()
    for number in range(times + 1):
        with server.serving():
            waits_s.append(watch.wait_for(all_are("up"), "all are up"))
            watch.wait_for_more(10)
            resources.append(watch.resources)
        if number < times:
            watch.wait_for(all_are("down"), "all are down")
    load, resident_mb = os.getloadavg()[1], watch.resident_mb
    watch.end(signal.SIGTERM)
    watch.listen()
    yield "load of the machine, all its work", load, "runnable threads"
    yield "server restarts", times, ""
    yield "reconnected after, median", median(waits_s[1:]), "s"
    yield "reconnected after, longest", max(waits_s[1:]), "s"
    yield "file handles gained", resources[-1][0] - resources[0][0], ""
    yield f"memory, resident, {len(server.urls)} cameras", resident_mb, "MB"
    yield "threads gained", resources[-1][1] - resources[0][1], ""
    yield "SignalLoss raised", watch.losses.count("raised") / len(server.urls), "per camera"
    yield "SignalLoss cleared", watch.losses.count("cleared") / len(server.urls), "per camera"


def outages(folder: Path, server: Server, seconds: float, fps: float) -> Iterator[Row]:
    """The targets of the sinks fail, one after another, while a camera is scored `fps` times a second."""
    with Disk(folder / "disk") as disk, Broker(folder) as broker, Hook() as hook, server.serving():
        sinks = {
            "sqlite": str(disk.history),
            "mqtt": broker.url,
            "webhooks": [{"url": hook.url, "types": ["reading", "event", "status"]}],
        }
        watch = Watch(folder, {"cameras": _cameras(server), "fps": fps, "sinks": sinks})
        watch.start()
        watch.wait_for_more(10)
        for breakable in (disk, broker, hook):
            yield from _outage(watch, breakable, seconds)
        watch.wait_for_more(10)
        yield "SIGTERM to exit", watch.end(signal.SIGTERM), "s"
        watch.listen()
        ok, rows = _check(disk.history)
        yield "history is sound (integrity_check)", ok, ""
        yield "readings sent that are not in the history", len(watch.arrivals) - len(rows), ""


def _outage(watch: Watch, breakable: Breakable, seconds: float) -> Iterator[Row]:
    watch.wait_for_more(25)
    lost, began = watch.lost.get(breakable.sink, 0), len(watch.arrivals)
    with breakable.failing():
        until = monotonic() + seconds
        watch.wait_for(lambda: monotonic() > until, "the outage")
        scored = watch.arrivals[began:]
    before = breakable.received
    back_s = watch.wait_for(lambda: breakable.received > before, f"{breakable.sink} is back")
    watch.wait_for_more(25)
    gaps_s = [later - earlier for earlier, later in pairwise(sorted(scored))]
    name = f"{breakable.name} for {seconds:g} s:"
    yield f"{name} scores meanwhile", len(scored) / seconds, "per second"
    yield f"{name} longest without a score", max(gaps_s), "s"
    yield f"{name} counted as lost", watch.lost.get(breakable.sink, 0) - lost, "messages"
    yield f"{name} works again after", back_s, "s"


def stops(folder: Path, server: Server, times: int) -> Iterator[Row]:
    """The monitor is asked to end while it scores."""
    watch = Watch(folder, {"cameras": _cameras(server), "sinks": {"sqlite": str(folder / "stopped.db")}})
    took_s = []
    with server.serving():
        for _ in range(times):
            watch.start()
            watch.wait_for_more(10)
            took_s.append(watch.end(signal.SIGTERM))
    yield "SIGTERM", times, ""
    yield "SIGTERM to exit, median", median(took_s), "s"
    yield "SIGTERM to exit, longest", max(took_s), "s"


def kills(folder: Path, server: Server, times: int) -> Iterator[Row]:
    """The monitor itself is killed while it writes."""
    history = folder / "killed.db"
    watch = Watch(folder, {"cameras": _cameras(server), "fps": 25, "sinks": {"sqlite": str(history)}})
    sound, missing, behind = 0, 0, []
    with server.serving():
        for _ in range(times):
            watch.start()
            watch.wait_for_more(25)
            sleep(random.uniform(0, 1))
            acknowledged = _rows(history)
            watch.end(signal.SIGKILL)
            watch.listen()
            ok, rows = _check(history)
            sound += ok
            missing += len(acknowledged - rows)
            behind.append(len(watch.arrivals) - len(rows) - sum(behind))
    yield "SIGKILL", times, ""
    yield "history is sound after it (integrity_check)", sound, "times"
    yield "rows that were in the history before a kill, and not after", missing, ""
    yield "readings sent that are not in the history, largest", max(behind), "per kill"
    yield "torn JSON lines", watch.torn, ""


def _cameras(server: Server) -> list[dict[str, str]]:
    return [{"source": url, "name": f"camera {number}"} for number, url in enumerate(server.urls)]


def _rows(history: Path) -> set[tuple[int, float]]:
    """The readings that another process sees, by number and time."""
    with closing(sqlite3.connect(history)) as db:
        return set(db.execute("SELECT rowid, wall_time FROM readings"))


def _check(history: Path) -> tuple[bool, set[tuple[int, float]]]:
    with closing(sqlite3.connect(history)) as db:
        ok = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return ok, _rows(history)


def main(
    restart_count: Annotated[int, typer.Option("--restarts", help="Number of restarts of the RTSP server.")] = 20,
    outage_s: Annotated[float, typer.Option(help="Duration of the failure of each sink; 0: none fails.")] = 60,
    outage_fps: Annotated[float, typer.Option(help="Scores a second while sinks fail.")] = 5,
    stop_count: Annotated[int, typer.Option("--stops", help="Number of stops of the monitor.")] = 20,
    kill_count: Annotated[int, typer.Option("--kills", help="Number of kills of the monitor.")] = 100,
    cameras: Annotated[int, typer.Option(min=1, help="Number of cameras for --restarts and --stops.")] = 4,
    clip: Annotated[Path, typer.Option(help="Path to the video that every camera shows, H.264.")] = ROOT
    / "examples"
    / "clip.mp4",
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Break everything in turn."""
    os.environ["PYTHONPATH"] = str(ROOT)
    rows: list[Row] = []
    parts: list[tuple[float, int, Callable[[Path, Server, Any], Iterator[Row]]]] = [
        (restart_count, cameras, restarts),
        (outage_s, 1, partial(outages, fps=outage_fps)),
        (stop_count, cameras, stops),
        (kill_count, 1, kills),
    ]
    for amount, count, part in parts:
        if amount:
            with TemporaryDirectory() as folder:
                rows += part(Path(folder), Server(clip, count), amount)
    show(f"faults; {measured_on()}", rows, out)


if __name__ == "__main__":
    run(main)

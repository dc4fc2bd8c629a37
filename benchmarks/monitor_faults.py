"""Break what `dpiqa monitor` depends on, over and over, and print how it holds.

    python benchmarks/monitor_faults.py [--restarts 20] [--outage-s 60] [--kills 50] [--csv FILE]

The RTSP server is killed and started again; the disk of the history is full, the broker dead and the webhook's server
gone, for a minute each; the monitor is killed. Needs what benchmarks/monitor.py needs, Mosquitto, and the right to
mount a tmpfs.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
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

_PATIENCE_S = 120.0


class Watch:
    """`dpiqa monitor` as a user runs it, and what its JSON lines say."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._config, self._lines = folder / "cameras.yaml", folder / "told.jsonl"
        sinks = {"jsonl": {"path": str(self._lines), "max_mb": 1000}} | config.pop("sinks")
        self._config.write_text(json.dumps({"status_interval_s": 1, **config, "sinks": sinks}))  # YAML reads JSON
        self._read = 0
        self.read_at: list[float] = []  # when frames that were scored had arrived
        self.states: dict[str, str] = {}
        self.lost: dict[str, int] = {}
        self.losses: list[str] = []
        self.torn = 0

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "dpiqa", "monitor", str(self._config)]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def end(self, number: int) -> float:
        """Send a signal and wait for the end; gives the seconds that took."""
        began = monotonic()
        self._process.send_signal(number)
        self._process.wait()
        return monotonic() - began

    @property
    def held(self) -> tuple[int, int]:
        """Open file handles and threads of the process."""
        process = Path("/proc", str(self._process.pid))
        return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

    def listen(self) -> None:
        """Read what it said since the last time."""
        if not self._lines.exists():
            return
        with self._lines.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(line)

    def wait_for(self, enough: Callable[[], bool], what: str) -> float:
        """Seconds until something is so."""
        began = monotonic()
        while self.listen() or not enough():
            if monotonic() - began > _PATIENCE_S or self._process.poll() is not None:
                raise TimeoutError(f"waited for {what}; states {self.states}, exit status {self._process.poll()}")
            sleep(0.02)
        return monotonic() - began

    def wait_for_more(self, count: int) -> None:
        """Wait for so many more readings."""
        enough = len(self.read_at) + count
        self.wait_for(lambda: len(self.read_at) >= enough, "readings")

    def _take(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            self.torn += bool(line)
            return
        if told["type"] == "reading":
            self.read_at.append(told["wall_time"])
        elif told["type"] == "status":
            self.states[told["source"]] = told["state"]
            self.lost = told["lost"]
        elif told["kind"] == "SignalLoss":
            self.losses.append(told["state"])


def restarts(folder: Path, server: Server, times: int) -> Iterator[Row]:
    """The server of all cameras dies and returns."""
    watch = Watch(folder, {"cameras": _cameras(server), "sinks": {"sqlite": str(folder / "history.db")}})

    def all_are(*states: str) -> Callable[[], bool]:
        return lambda: (
            len(watch.states) == len(server.urls) and all(watch.states[name] in states for name in watch.states)
        )

    waits_s, held = [], []
    watch.start()
    for number in range(times + 1):
        with server.serving():
            waits_s.append(watch.wait_for(all_are("up"), "all are up"))
            watch.wait_for_more(10)
            held.append(watch.held)
        if number < times:
            watch.wait_for(all_are("down"), "all are down")
    watch.end(signal.SIGTERM)
    watch.listen()
    yield "server restarts", times, ""
    yield "reconnected after, median", median(waits_s[1:]), "s"
    yield "reconnected after, longest", max(waits_s[1:]), "s"
    yield "file handles gained", held[-1][0] - held[0][0], ""
    yield "threads gained", held[-1][1] - held[0][1], ""
    yield "SignalLoss raised", watch.losses.count("raised") / len(server.urls), "per camera"
    yield "SignalLoss cleared", watch.losses.count("cleared") / len(server.urls), "per camera"


def outages(folder: Path, server: Server, seconds: float) -> Iterator[Row]:
    """What the sinks write to fails, one after the other."""
    with Disk(folder / "disk") as disk, Broker(folder) as broker, Hook() as hook, server.serving():
        sinks = {
            "sqlite": str(disk.history),
            "mqtt": broker.url,
            "webhooks": [{"url": hook.url, "types": ["reading", "event", "status"]}],
        }
        watch = Watch(folder, {"cameras": _cameras(server), "sinks": sinks})
        watch.start()
        watch.wait_for_more(10)
        for breakable in (disk, broker, hook):
            yield from _outage(watch, breakable, seconds)
        watch.wait_for_more(10)
        yield "SIGTERM to exit", watch.end(signal.SIGTERM), "s"
        watch.listen()
        ok, count = _checked(disk.history)
        yield "history is sound (integrity_check)", ok, ""
        yield "readings told that are not in the history", len(watch.read_at) - count, ""


def _outage(watch: Watch, breakable: Breakable, seconds: float) -> Iterator[Row]:
    watch.wait_for_more(25)
    lost, began = watch.lost.get(breakable.sink, 0), len(watch.read_at)
    with breakable.failing():
        until = monotonic() + seconds
        watch.wait_for(lambda: monotonic() > until, "the outage")
        scored = watch.read_at[began:]
    before = breakable.received
    back_s = watch.wait_for(lambda: breakable.received > before, f"{breakable.sink} is back")
    watch.wait_for_more(25)
    gaps_s = [later - earlier for earlier, later in pairwise(sorted(scored))]
    name = f"{breakable.name} for {seconds:g} s:"
    yield f"{name} scores meanwhile", len(scored) / seconds, "per second"
    yield f"{name} longest without a score", max(gaps_s), "s"
    yield f"{name} counted as lost", watch.lost.get(breakable.sink, 0) - lost, "messages"
    yield f"{name} works again after", back_s, "s"


def kills(folder: Path, server: Server, times: int) -> Iterator[Row]:
    """The monitor itself is killed while it writes."""
    history = folder / "killed.db"
    watch = Watch(folder, {"cameras": _cameras(server), "fps": 25, "sinks": {"sqlite": str(history)}})
    sound, behind, before = 0, [], 0
    with server.serving():
        for _ in range(times):
            watch.start()
            watch.wait_for_more(25)
            sleep(random.uniform(0, 1))
            watch.end(signal.SIGKILL)
            watch.listen()
            ok, count = _checked(history)
            sound += ok and count >= before
            behind.append(len(watch.read_at) - count - sum(behind))
            before = count
    yield "SIGKILL", times, ""
    yield "history is sound and holds all from before", sound, "times"
    yield "readings told that are not in the history, largest", max(behind), "per kill"
    yield "torn JSON lines", watch.torn, ""


def _cameras(server: Server) -> list[dict[str, str]]:
    return [{"source": url, "name": f"camera {number}"} for number, url in enumerate(server.urls)]


def _checked(history: Path) -> tuple[bool, int]:
    with closing(sqlite3.connect(history)) as db:
        ok = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return ok, db.execute("SELECT count(*) FROM readings").fetchone()[0]


def main(
    restart_count: Annotated[int, typer.Option("--restarts", help="How often the RTSP server dies.")] = 20,
    outage_s: Annotated[float, typer.Option(help="How long each of the sinks fails, 0: none does.")] = 60,
    kill_count: Annotated[int, typer.Option("--kills", help="How often the monitor is killed.")] = 50,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras while the server dies.")] = 4,
    clip: Annotated[Path, typer.Option(help="What every camera shows, H.264.")] = ROOT / "examples" / "clip.mp4",
    out: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this file.")] = None,
) -> None:
    """Break everything in turn."""
    os.environ["PYTHONPATH"] = str(ROOT)
    rows: list[Row] = []
    parts: list[tuple[float, int, Callable[[Path, Server, Any], Iterator[Row]]]] = [
        (restart_count, cameras, restarts),
        (outage_s, 1, outages),
        (kill_count, 1, kills),
    ]
    for amount, count, part in parts:
        if amount:
            with TemporaryDirectory() as folder:
                rows += part(Path(folder), Server(clip, count), amount)
    show(f"faults; {measured_on()}", rows, out)


if __name__ == "__main__":
    typer.run(main)

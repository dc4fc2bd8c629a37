"""The cost of watching cameras served by GStreamer's RTSP server.

    python benchmarks/monitor.py [--cameras 4] [--fps 5] [--minutes 1] [--csv FILE]

CPU is that of the monitor alone, in percent of one core: reading and decoding is the time of its reader threads (with
the conversion to BGR), scoring all the rest (the engine, signals, alarms, the history, metrics). Latency is from a
frame's arrival to its reading; "to the metric", until Prometheus can read it. Needs the Debian packages
gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{good,bad}; the server takes CPU as well.
"""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from time import monotonic, process_time, sleep
from typing import Annotated

import numpy as np
import typer
from measured_on import measured_on
from process_memory import memory_mb
from rich.console import Console
from rich.table import Table

from dpiqa.errors import InputError, ToolError
from dpiqa.runtime.allocator import return_large_buffers
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import INT8_MODEL, shipped_model
from dpiqa.runtime.monitor.messages import Event, LiveReading, Message, Status
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.settings.sinks import PrometheusSettings
from dpiqa.runtime.monitor.sinks.prometheus import Prometheus
from dpiqa.runtime.monitor.sinks.queued import QueuedSink
from dpiqa.runtime.monitor.sinks.registry import SinkSet
from dpiqa.runtime.monitor.watch import Monitor
from dpiqa.runtime.program import run

ROOT = Path(__file__).resolve().parents[1]
SERVER = ROOT / "tests" / "runtime" / "monitor" / "rtsp_server.py"
STAGES = ("decode", "wait", "preprocess", "infer", "signals", "total")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WARM_UP_S = 5.0
_TO_METRIC = "to the metric"
_PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad}"

Row = tuple[str, float, str]


class Tally:
    """A sink that counts."""

    name, lost = "tally", 0

    def __init__(self) -> None:
        # Not the readings themselves: their memory would be measured too.
        self.latency_ms = {stage: array("f") for stage in (*STAGES, _TO_METRIC)}
        self.received_s: dict[tuple[str, int], float] = {}
        self.states: dict[str, Status] = {}
        self.losses: list[str] = []

    def put(self, message: Message) -> None:
        """See Sink."""
        if isinstance(message, LiveReading):
            for stage in STAGES:
                self.latency_ms[stage].append(message.latency_ms[stage])
            self.received_s[message.source, message.index] = monotonic()
        elif isinstance(message, Status):
            self.states[message.source] = message
        elif isinstance(message, Event) and message.kind == "SignalLoss":
            self.losses.append(message.state)

    def close(self, timeout_s: float) -> None:
        """See Sink."""

    def clear(self) -> None:
        """Reset the counts, not the states."""
        self.losses.clear()
        for times in self.latency_ms.values():
            del times[:]

    def wait_for(self, state: str) -> float:
        """Wait until every source is in `state`, and return the seconds that took."""
        began = monotonic()
        while not self.states or any(status.state != state for status in self.states.values()):
            sleep(0.01)
        return monotonic() - began


class TimedMetrics(Prometheus):
    """Prometheus metrics that record the time from the arrival of a frame until its reading is in them."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(PrometheusSettings(port=0), dict)
        self._tally = tally

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        super().write(messages, closing)
        now_s = monotonic()
        for message in messages:
            if isinstance(message, LiveReading):
                since_ms = (now_s - self._tally.received_s.pop((message.source, message.index))) * 1000
                self._tally.latency_ms[_TO_METRIC].append(message.latency_ms["total"] + since_ms)


class Server:
    """The RTSP server, one mount per camera; InputError without the clip."""

    def __init__(self, clip: Path, cameras: int) -> None:
        if not clip.is_file():
            raise InputError(f"{clip}: no such file")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._clips = [str(clip)] * cameras
        self.urls = [f"rtsp://127.0.0.1:{self._port}/{number}" for number in range(cameras)]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve while the block runs; ToolError when the server does not start."""
        command = ["/usr/bin/python3", str(SERVER), str(self._port), *self._clips]
        with (
            TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            assert process.stdout is not None
            if process.stdout.readline() != "serving\n":
                errors.seek(0)
                reason = errors.read().strip().splitlines()[-1:]
                raise ToolError(f"the RTSP server did not start: {''.join(reason)}; apt install {_PACKAGES} brings it")
            try:
                yield
            finally:
                process.kill()


def load(monitor: Monitor, tally: Tally, seconds: float) -> Iterator[Row]:
    """CPU, latency, rate and memory in normal operation."""
    sleep(_WARM_UP_S)
    tally.clear()
    dropped = sum(camera.status().dropped for camera in monitor.cameras)
    began, cpu_s, read_s = monotonic(), process_time(), _readers_s(monitor)
    memory: list[tuple[float, float]] = []  # private: pages of files come and go with what else the machine does
    while monotonic() - began < seconds:
        sleep(1)
        memory.append((monotonic() - began, memory_mb(os.getpid(), "RssAnon")))
    lasted_s = monotonic() - began
    latency_ms = {stage: list(times) for stage, times in tally.latency_ms.items()}
    count = len(latency_ms["total"])
    dropped = sum(camera.status().dropped for camera in monitor.cameras) - dropped
    read_s, cpu_s = _readers_s(monitor) - read_s, process_time() - cpu_s
    yield "load of the machine, all its work", os.getloadavg()[1], "runnable threads"
    yield "scores", count / lasted_s / len(monitor.cameras), "per second and camera"
    yield "frames dropped", dropped, ""
    yield "CPU", cpu_s / lasted_s * 100, "% of a core"
    yield "of it reading and decoding", read_s / cpu_s * 100, "%"
    yield "of it scoring", (cpu_s - read_s) / cpu_s * 100, "%"
    yield "scoring", (cpu_s - read_s) / count * 1000, "ms CPU per score"
    yield "SignalLoss raised", tally.losses.count("raised") / len(monitor.cameras), "per camera"
    for stage, times in latency_ms.items():
        yield f"latency, {stage}, median", median(times), "ms"
        yield f"latency, {stage}, p99", float(np.percentile(times, 99)), "ms"
    late = memory[len(memory) // 2 :]
    yield "memory, resident", memory_mb(os.getpid(), "VmRSS"), "MB"
    yield "of it private", late[-1][1], "MB"
    if len(late) > 2:
        times_s, sizes_mb = np.array(late).T
        slope, _ = np.polyfit(times_s, sizes_mb, 1)
        yield "private memory, slope of the second half", float(slope) * 3600, "MB per hour"


def show(title: str, rows: Sequence[Row], out: Path | None) -> None:
    """Print a table, and write it to the CSV file `out`, if any, with the title in the column `of`."""
    table = Table(title=title)
    for heading in ("what", "value", "unit"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, value, unit in rows:
        table.add_row(name, f"{value:.1f}", unit)
    Console(soft_wrap=True).print(table)
    if out is not None:
        with out.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("what", "value", "unit", "of"), *((name, round(value, 2), unit, title) for name, value, unit in rows)]
            )


def _readers_s(monitor: Monitor) -> float:
    """CPU seconds of the reader threads."""
    total = 0
    for camera in monitor.cameras:
        fields = Path(f"/proc/self/task/{camera.reader_id}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def main(
    cameras: Annotated[int, typer.Option(min=1, help="Number of cameras.")] = 4,
    fps: Annotated[float, typer.Option(help="Scores per second for each camera.")] = 5,
    minutes: Annotated[float, typer.Option(help="Duration; memory needs an hour.")] = 1,
    model: Annotated[Path | None, typer.Option(help="Path to a model file (default: the shipped INT8 one).")] = None,
    threads: Annotated[int, typer.Option(help="Number of CPU threads of the engine.")] = MonitorSettings().threads,
    clip: Annotated[Path, typer.Option(help="Path to the video that every camera shows, H.264.")] = ROOT
    / "examples"
    / "clip.mp4",
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Measure one monitor."""
    return_large_buffers()  # as `dpiqa monitor` does
    server, tally = Server(clip, cameras), Tally()
    engine = open_engine(model or shipped_model(INT8_MODEL), threads=threads)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        sources = [{"source": url, "name": f"camera {number}"} for number, url in enumerate(server.urls)]
        sinks = {"sqlite": {"path": Path(folder, "history.db")}}
        settings = MonitorSettings.model_validate({"cameras": sources, "fps": fps, "sinks": sinks})
        opened = [*SinkSet(settings.sinks).sinks, QueuedSink(TimedMetrics(tally), PrometheusSettings().queue)]
        monitor = Monitor(settings, engine, [tally, *opened])
        thread = threading.Thread(target=monitor.run)
        thread.start()
        try:
            with server.serving():
                tally.wait_for("up")
                rows += load(monitor, tally, minutes * 60)
        finally:
            monitor.stop()
            thread.join()
            for sink in opened:
                sink.close(2)
    what = f"{cameras} cameras, {clip.name}, {fps:g} scores/s each for {minutes:g} minutes"
    spec = engine.spec
    what += f"; {spec.name} {spec.version} {spec.precision}, {engine.name}, {threads} thread(s)"
    show(f"{what}; {measured_on(engine.name)}", rows, out)


if __name__ == "__main__":
    run(main)

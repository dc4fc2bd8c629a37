"""From 1 to 64 cameras on one machine: where it saturates, by replaying recorded times of decoding and scoring.

    python benchmarks/saturation.py [--cores 2] [--fps 5] [--csv FILE] [--plot FILE]

Recorded here as CPU time, so that a busy machine does not matter much: decoding each frame of the clip at 1080p, at
640x360, and its key frames alone (one thread, with the conversion that a scored frame gets), and scoring a frame with
`dpiqa-lite0-int8` and its signals (one thread a request). Replayed as the monitor schedules: every camera decodes all
of its frames, its newest decoded frame waits, as many are scored at once as there are cores, the source due first goes
first. Cores are shared first come, first served. "On paper" is cores / (frame rate x decoding + score rate x scoring).
"""

from __future__ import annotations

import csv
import heapq
from collections import deque
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated, NamedTuple

import av
import cv2
import numpy as np
import typer
from matplotlib.figure import Figure
from measured_on import measured_on
from rich.console import Console
from rich.table import Table

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.machine import cores as available
from dpiqa.runtime.models import INT8_MODEL
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.monitor.sources import open_source
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.program import run
from dpiqa.runtime.void import void_of

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clip.mp4"
CAMERAS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_FRAMES, _WARM_UP, _SIMULATED_S, _ENOUGH = 150, 5, 30.0, 0.95


class Stream(NamedTuple):
    """What a camera costs: CPU seconds to decode each of its frames, to score each of some, and its rates."""

    name: str
    decode_s: np.ndarray
    score_s: np.ndarray
    frames_per_s: float
    scores_per_s: float

    def on_paper(self, cores: int) -> float:
        """How many such cameras keep `cores` busy."""
        return cores / (self.frames_per_s * self.decode_s.mean() + self.scores_per_s * self.score_s.mean())


class Outcome(NamedTuple):
    """What a number of cameras got: the fraction (0 to 1) of the wanted scores, the p99 latency, the load (0 to 1)."""

    share: float
    p99_ms: float
    load: float


def record(name: str, source: Path, fps: float, keyframes: bool = False) -> Stream:
    """Decode and score some frames, and note the CPU time of each."""
    camera = CameraSettings(source=str(source), live=True, frames="keyframes" if keyframes else "all")
    engine, meter = open_engine(INT8_MODEL, threads=1), open_meter()
    decode_s, score_s, pts_s = [], [], []
    before = process_time()
    for grab in islice(open_source(camera), 8 * _FRAMES):
        if grab is None:
            continue
        pixels = grab.pixels()
        picture = pixels if isinstance(pixels, Planes) else Planes((pixels,))
        decoded = process_time()
        decode_s.append(decoded - before)
        pts_s.append(grab.pts_s or 0.0)
        if len(score_s) < _FRAMES // 2:
            bgr = picture.bgr
            engine.score(picture)
            meter.measure(bgr)
            void_of(*picture.samples())
            score_s.append(process_time() - decoded)
        if len(decode_s) == _FRAMES:
            break
        before = process_time()
    rate = (len(pts_s) - 1) / (pts_s[-1] - pts_s[0])
    skipped = min(_WARM_UP, len(decode_s) // 2)
    return Stream(name, np.array(decode_s[skipped:]), np.array(score_s[skipped:]), rate, min(fps, rate))


def replay(stream: Stream, cameras: int, cores: int) -> Outcome:
    """Simulate half a minute. Events are (seconds, order, what, camera, arrival)."""
    rng, order = np.random.default_rng(cameras), count()
    events = [(float(t), next(order), "frame", camera, float(t))
              for camera, phase in enumerate(rng.uniform(0, 1 / stream.frames_per_s, cameras))
              for t in np.arange(phase, _SIMULATED_S, 1 / stream.frames_per_s)]  # fmt: skip
    heapq.heapify(events)
    decoding: list[deque[float]] = [deque() for _ in range(cameras)]  # arrivals; a reader decodes one at a time
    is_reading, is_scoring = [False] * cameras, [False] * cameras
    newest: list[float | None] = [None] * cameras
    next_s, due_s = [0.0] * cameras, [0.0] * cameras
    waiting: deque[tuple[str, int, float, float]] = deque()  # for a core
    free, busy_s, latency_s = cores, 0.0, list[float]()
    while events:
        now, _, what, camera, arrival = heapq.heappop(events)
        if now > _SIMULATED_S:
            break
        if what == "frame":
            decoding[camera].append(arrival)
            if len(decoding[camera]) > max(2, stream.frames_per_s):  # a second behind: the camera's buffer drops
                decoding[camera].popleft()
        else:
            free += 1
            if what == "decoded":
                is_reading[camera] = False
                if arrival >= next_s[camera]:
                    next_s[camera] = max(next_s[camera] + 1 / stream.scores_per_s, arrival)
                    newest[camera] = arrival
            else:
                is_scoring[camera] = False
                latency_s.append(now - arrival)
        if decoding[camera] and not is_reading[camera]:
            is_reading[camera] = True
            waiting.append(("decoded", camera, decoding[camera].popleft(), float(rng.choice(stream.decode_s))))
        ready = [place for place in range(cameras) if newest[place] is not None and not is_scoring[place]]
        for place in sorted(ready, key=due_s.__getitem__)[: max(0, cores - sum(is_scoring))]:
            arrived, newest[place], is_scoring[place] = newest[place], None, True
            assert arrived is not None
            due_s[place] = now + 1 / stream.scores_per_s
            waiting.append(("scored", place, arrived, float(rng.choice(stream.score_s))))
        while free and waiting:
            kind, place, arrived, cost_s = waiting.popleft()
            free, busy_s = free - 1, busy_s + cost_s
            heapq.heappush(events, (now + cost_s, next(order), kind, place, arrived))
    wanted = stream.scores_per_s * _SIMULATED_S * cameras
    p99_ms = float(np.percentile(latency_s, 99)) * 1000 if latency_s else float("inf")
    return Outcome(len(latency_s) / wanted, p99_ms, min(1.0, busy_s / _SIMULATED_S / cores))


def write_second_stream(file: Path) -> None:
    """The clip as a camera's second stream: 640x360 at 15 frames a second."""
    with av.open(str(file), "w") as container, av.open(str(CLIP)) as source:
        stream = container.add_stream("libx264", rate=15, options={"preset": "veryfast", "bf": "0", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, frame in enumerate(islice(source.decode(video=0), 2 * _FRAMES)):
            small = av.VideoFrame.from_ndarray(cv2.resize(frame.to_ndarray(format="bgr24"), (640, 360)), "bgr24")
            small.pts, small.time_base = number, Fraction(1, 15)
            container.mux(stream.encode(small))
        container.mux(stream.encode())


def plot(rows: list[tuple[Stream, int, Outcome]], file: Path, title: str) -> None:
    """The share of the wanted scores against the number of cameras."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(stream.name for stream, *_ in rows):
        points = [(cameras, 100 * outcome.share) for stream, cameras, outcome in rows if stream.name == name]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", xlabel="cameras", ylabel="% of the wanted scores", title=title)
    axes.set_xticks(CAMERAS, map(str, CAMERAS))
    axes.minorticks_off()
    axes.legend()
    with atomic_write(file) as target:
        figure.savefig(target, format="png", dpi=110)


def main(
    cores: Annotated[int | None, typer.Option(min=1, help="Cores of the machine (default: this one's).")] = None,
    fps: Annotated[float, typer.Option(help="Scores per second and camera.")] = 5,
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the curve.")] = None,
    plotted: Annotated[Path | None, typer.Option("--plot", help="Path of the plot to write.")] = None,
) -> None:
    """Print the curve, and how many cameras one machine takes."""
    cores = cores or available()
    with TemporaryDirectory() as folder:
        small = Path(folder, "small.ts")
        write_second_stream(small)
        streams = [
            record("1080p, every frame", CLIP, fps),
            record("640x360, every frame", small, fps),
            record("1080p, key frames", CLIP, fps, keyframes=True),
        ]
    rows = [(stream, cameras, replay(stream, cameras, cores)) for stream in streams for cameras in CAMERAS]
    machine = measured_on("openvino", "av")
    table = Table("stream", "cameras", "% of scores", "p99 ms", "load %", title=f"{cores} cores, recorded on {machine}")
    for stream, cameras, (share, p99_ms, load) in rows:
        table.add_row(stream.name, str(cameras), f"{100 * share:.0f}", f"{p99_ms:.0f}", f"{100 * load:.0f}")
    console = Console(width=150)
    console.print(table)
    for stream in streams:
        most = max((n for other, n, outcome in rows if other is stream and outcome.share >= _ENOUGH), default=0)
        console.print(
            f"{stream.name}: {1000 * stream.decode_s.mean():.1f} ms to decode, {1000 * stream.score_s.mean():.1f} ms "
            f"to score, {stream.scores_per_s:.2g} scores a second: {stream.on_paper(cores):.1f} cameras on paper, "
            f"{most} of those replayed keep {100 * _ENOUGH:.0f} % of their scores; beyond, a second machine"
        )
    if out:
        with out.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(
                ["stream", "cameras", "cores", "share", "p99_ms", "load", "decode_ms", "score_ms", "machine"]
            )
            writer.writerows(
                [s.name, n, cores, f"{o.share:.3f}", f"{o.p99_ms:.0f}", f"{o.load:.2f}",
                 f"{1000 * s.decode_s.mean():.2f}", f"{1000 * s.score_s.mean():.2f}", machine]
                for s, n, o in rows
            )  # fmt: skip
    if plotted:
        plot(rows, plotted, f"{cores} cores, {fps:g} scores a second wanted of each")


if __name__ == "__main__":
    run(main)

"""What all cores give: two processes against one, and one picture at a time against several.

    python benchmarks/cores.py [--rounds 5] [--csv FILE]

Interleaved, medians of the ratios of all rounds. Folder: 24 JPEG files of 12 megapixels; video: frames of the
1080p clip, both with `dpiqa-lite0`. Monitor: live cameras of 640x360 at 15 fps, more
than can be scored, `dpiqa-lite0-int8`.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Annotated

import av
import cv2
import numpy as np
import typer
from measured_on import measured_on
from rich.console import Console
from rich.table import Table

from dpiqa import Scorer
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.machine import cores
from dpiqa.runtime.models import INT8_MODEL
from dpiqa.runtime.monitor.messages import LiveReading, Message
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.watch import Monitor
from dpiqa.runtime.program import run
from dpiqa.runtime.video import read_video

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clip.mp4"
_PICTURES, _FRAMES, _CAMERAS = 24, 150, 12
_WINDOW_S, _WARM_UP_S = 3.0, 2.0
_scorer: Scorer | None = None


def open_in_worker() -> None:
    """Open the scorer of a process."""
    global _scorer
    _scorer = Scorer(INT8_MODEL, threads=1)


def scores_in_window(_: int) -> int:
    """How many frames this process scores in three seconds."""
    assert _scorer is not None
    coarse = np.random.default_rng(0).integers(40, 200, (9, 16, 3), np.uint8)  # a flat frame is looked at for longer
    frame, count = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_LINEAR), 0
    end = perf_counter() + _WINDOW_S
    while perf_counter() < end:
        _scorer.score(frame)
        count += 1
    return count


class Count:
    """A sink that keeps the latency of every reading."""

    name, lost = "count", 0

    def __init__(self) -> None:
        self.latency_ms: list[float] = []

    def put(self, message: Message) -> None:
        """See Sink."""
        if isinstance(message, LiveReading):
            self.latency_ms.append(message.latency_ms["total"])

    def close(self, timeout_s: float) -> None:
        """See Sink."""


def write_pictures(folder: Path) -> None:
    """24 JPEG files of 4000x3000 with a camera's noise, quality 90."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (3000, 4000, 1)).astype(np.float32)
    for number, frame in enumerate(islice(read_video(str(CLIP), 1.2), _PICTURES)):
        large = cv2.resize(frame.pixels, (4000, 3000), interpolation=cv2.INTER_CUBIC) + np.roll(noise, number, 0)
        cv2.imwrite(
            str(folder / f"{number:02}.jpg"), large.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90]
        )


def write_second_stream(file: Path) -> None:
    """The clip as a camera's second stream: 640x360, 15 frames a second."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, frame in enumerate(read_video(str(CLIP), 15)):
            small = av.VideoFrame.from_ndarray(np.asarray(cv2.resize(frame.pixels, (640, 360)), np.uint8), "bgr24")
            small.pts, small.time_base = number, Fraction(1, 15)
            container.mux(stream.encode(small))
        container.mux(stream.encode())


def monitored(clip: Path, threads: int) -> tuple[float, float]:
    """Scores a second over all cameras, and the 99th percentile of the latency in milliseconds."""
    cameras = [{"source": str(clip), "name": str(n), "live": True, "paced": True} for n in range(_CAMERAS)]
    count = Count()
    monitor = Monitor(
        MonitorSettings.model_validate({"cameras": cameras, "fps": 15}),
        open_engine(INT8_MODEL, threads=threads, requests=threads),
        [count],
    )
    thread = threading.Thread(target=monitor.run)
    thread.start()
    sleep(_WARM_UP_S)
    count.latency_ms.clear()
    began = perf_counter()
    sleep(_WINDOW_S)
    latency_ms, lasted_s = list(count.latency_ms), perf_counter() - began
    monitor.stop()
    thread.join()
    return len(latency_ms) / lasted_s, float(np.percentile(latency_ms, 99))


def ratios(folder: Path, rounds: int) -> Iterator[tuple[str, str, float, str]]:
    """Each case: its name, the wanted ratio, the measured one, a remark."""
    pool = ProcessPoolExecutor(2, get_context("spawn"), open_in_worker)
    with pool:
        list(pool.map(scores_in_window, range(2)))
        pairs = [(sum(pool.map(scores_in_window, [0])), sum(pool.map(scores_in_window, [0, 1]))) for _ in range(rounds)]
    yield "two processes of one thread against one", "1.85", median(two / one for one, two in pairs), ""
    pictures, small = folder / "pictures", folder / "small.ts"
    pictures.mkdir()
    write_pictures(pictures)
    write_second_stream(small)
    serial, parallel = Scorer(jobs=1), Scorer(jobs=cores())
    for name, wanted, score in (
        ("folder of 12-megapixel JPEG", "1.7", lambda scorer: [r.score for r in scorer.score_many([pictures])]),
        ("1080p H.264 file", "1.5", lambda scorer: [r.score for r in islice(scorer.stream(CLIP), _FRAMES)]),
    ):
        times, apart = [], 0.0
        for _ in range(rounds):
            began = perf_counter()
            one = score(serial)
            middle = perf_counter()
            several = score(parallel)
            times.append((middle - began) / (perf_counter() - middle))
            apart = max(apart, float(np.abs(np.subtract(one, several)).max()))
        yield name, wanted, median(times), f"scores at most {apart:.1g} apart"
    runs = [(monitored(small, 1), monitored(small, cores())) for _ in range(rounds)]
    p99_ms = median(after[1] for _, after in runs)
    rate = median(after[0] for _, after in runs)
    ratio = median(after[0] / before[0] for before, after in runs)
    yield f"monitor, {_CAMERAS} cameras", "1.25", ratio, f"{rate:.0f} scores a second, p99 {p99_ms:.0f} ms"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Print each ratio beside the wanted one."""
    machine = f"{measured_on('openvino')}, {cores()} used"
    with TemporaryDirectory() as folder, ExitStack() as stack:
        table = Table("all cores", "wanted", "times", "", title=machine)
        writer = csv.writer(stack.enter_context(out.open("w", newline=""))) if out else None
        if writer:
            writer.writerow(["what", "wanted", "times", "remark", "machine"])
        for name, wanted, ratio, remark in ratios(Path(folder), rounds):
            table.add_row(name, wanted, f"{ratio:.2f}", remark)
            if writer:
                writer.writerow([name, wanted, f"{ratio:.2f}", remark, machine])
    Console(width=140).print(table)


if __name__ == "__main__":
    run(main)

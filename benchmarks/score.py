"""Measure the scoring of frames that are decoded already: milliseconds a frame by stage, for each shipped model.

    python benchmarks/score.py [VIDEO] [--frames 200] [--csv FILE]

Models take turns frame by frame (every model sees the same frames in one run), so that a machine whose speed drifts
cannot favour one of them.
"""

from __future__ import annotations

import csv
import platform
from itertools import islice
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import onnxruntime
import typer
from rich.console import Console
from rich.table import Table

from runtime import Scorer
from runtime.machine import processor
from runtime.models import shipped_model
from runtime.video import read_video

CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"
MODELS = ("dpiqa-lite0", "dpiqa-lite0-int8")
STAGES = ("preprocess", "infer", "total")


def measure(video: Path, frames: int, threads: int) -> dict[str, dict[str, np.ndarray]]:
    """Milliseconds for each model and stage, float `[frames]`; the first 10 frames only warm up."""
    scorers = {name: Scorer(shipped_model(name), threads=threads) for name in MODELS}
    times: dict[str, dict[str, list[float]]] = {name: {stage: [] for stage in STAGES} for name in MODELS}
    for frame in islice(read_video(str(video)), 10 + frames):
        for name, scorer in scorers.items():
            latency = scorer.score(frame.pixels).latency_ms
            for stage in STAGES:
                times[name][stage].append(latency[stage])
    return {name: {stage: np.array(values[10:]) for stage, values in by.items()} for name, by in times.items()}


def main(
    video: Annotated[Path, typer.Argument(help="Any video.")] = CLIP,
    frames: Annotated[int, typer.Option(min=1)] = 200,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Keep the figures in this file.")] = None,
) -> None:
    """Print median and 99th percentile by model, threads and stage."""
    cv2.setNumThreads(1)
    rows = [
        [name, threads, stage, f"{np.median(values):.2f}", f"{np.percentile(values, 99):.2f}"]
        for threads in (1, 2)
        for name, by_stage in measure(video, frames, threads).items()
        for stage, values in by_stage.items()
    ]
    machine = f"{processor()}, Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, "
    machine += f"OpenCV {cv2.__version__}"
    table = Table("model", "threads", "stage", "median ms", "p99 ms", title=f"{video.name} on {machine}")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
    if csv_file:
        with csv_file.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["machine", "model", "threads", "stage", "median_ms", "p99_ms"])
            writer.writerows([machine, *row] for row in rows)


if __name__ == "__main__":
    typer.run(main)

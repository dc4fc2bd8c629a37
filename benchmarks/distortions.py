"""The time that each distortion takes on a 512x512 picture: `python benchmarks/distortions.py`.

The median of several calls on one thread, at the slowest of the five levels. Exit status 3 if one exceeds the limit,
which keeps two loader processes ahead of a training step.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
import typer

from dpiqa.errors import GateError
from dpiqa.runtime.machine import processor
from dpiqa.runtime.program import run
from dpiqa.runtime.video import read_video
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import LEVELS

LIMIT_MS = 150
CALLS = 5
CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"


def slowest_ms(name: str, image: np.ndarray) -> float:
    """The median time of one call in milliseconds, at the slowest level."""
    medians = []
    for level in LEVELS:
        times = []
        for seed in range(CALLS):
            rng = np.random.default_rng(seed)
            began = perf_counter()
            DISTORTIONS[name].apply(image, level, rng)
            times.append((perf_counter() - began) * 1000)
        medians.append(median(times))
    return max(medians)


def main() -> None:
    """Print one row per distortion, and compare the slowest with the limit."""
    cv2.setNumThreads(1)
    image = np.ascontiguousarray(next(read_video(str(CLIP))).pixels[:512, :512])
    typer.echo(f"{processor()}, OpenCV {cv2.__version__}, 512x512, limit {LIMIT_MS} ms")
    times = {}
    for name, distortion in DISTORTIONS.items():
        times[name] = slowest_ms(name, image)
        typer.echo(f"{name:22}{distortion.cause:15}{times[name]:7.1f} ms")
    slowest = max(times, key=times.__getitem__)
    if times[slowest] > LIMIT_MS:
        raise GateError(f"{slowest} takes {times[slowest]:.0f} ms, the limit is {LIMIT_MS} ms")


if __name__ == "__main__":
    run(main)

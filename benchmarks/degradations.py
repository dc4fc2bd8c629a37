"""How long each degradation takes on a picture of 512x512: `python benchmarks/degradations.py`.

Exit status 3 if one takes too long. The median of some calls on one thread at the slowest of the five levels, against
a limit that keeps two loader processes ahead of a training step.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np

from dpiqa.runtime.machine import processor
from dpiqa.runtime.video import read_video
from dpiqa.train.distortions.kinds import DEGRADATIONS
from dpiqa.train.distortions.kinds.base import LEVELS

LIMIT_MS = 150
CALLS = 5
CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"


def slowest_ms(name: str, image: np.ndarray) -> float:
    """The median time of one call in milliseconds, at the level where it is longest."""
    times = []
    for level in LEVELS:
        taken = []
        for seed in range(CALLS):
            rng = np.random.default_rng(seed)
            began = perf_counter()
            DEGRADATIONS[name].apply(image, level, rng)
            taken.append((perf_counter() - began) * 1000)
        times.append(median(taken))
    return max(times)


def main() -> int:
    """Print one row a degradation and the limit."""
    cv2.setNumThreads(1)
    image = np.ascontiguousarray(next(read_video(str(CLIP))).pixels[:512, :512])
    found = {name: slowest_ms(name, image) for name in DEGRADATIONS}
    print(f"{processor()}, OpenCV {cv2.__version__}, 512x512, limit {LIMIT_MS} ms")
    for name, taken in found.items():
        print(f"{name:22}{DEGRADATIONS[name].cause:15}{taken:7.1f} ms")
    return 3 if max(found.values()) > LIMIT_MS else 0


if __name__ == "__main__":
    sys.exit(main())

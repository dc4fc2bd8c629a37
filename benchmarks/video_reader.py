"""What decoding a video costs `dpiqa score`, against OpenCV's reader that it used before.

    python benchmarks/video_reader.py [CLIP] [--rounds 5] [--frames 100]

CPU milliseconds per frame, both readers in turn, on 1080p25 H.264; the core takes the planes, ONNX Runtime what the
resize makes of them. `display` is what `--explain` and `monitor` need on top: every frame in BGR.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import process_time
from typing import Annotated

import cv2
import numpy as np
import typer
from measured_on import measured_on

from dpiqa.runtime.program import run
from dpiqa.runtime.video import read_video

CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"


def opencv(path: str) -> Iterator[object]:
    """The reader of before: every frame is decoded and converted to BGR."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    while capture.grab():
        yield capture.retrieve()[1]
    capture.release()


def planes(path: str) -> Iterator[object]:
    """The reader of now, as `dpiqa score` uses it."""
    for frame in read_video(path):
        yield frame.picture.planes


def display(path: str) -> Iterator[object]:
    """The reader of now, with BGR of every frame."""
    for frame in read_video(path):
        yield frame.pixels


READERS = {"opencv": opencv, "planes": planes, "display": display}


def cpu_ms(reader: str, path: str, frames: int) -> float:
    """CPU milliseconds per frame, in a process of its own."""
    code = f"import video_reader as v; print(v.measure({reader!r}, {path!r}, {frames}))"
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(ended.stdout)


def measure(reader: str, path: str, frames: int) -> float:
    """See cpu_ms; in this process."""
    begin = process_time()
    count = sum(1 for _ in islice(READERS[reader](path), frames))
    return (process_time() - begin) / count * 1000


def main(
    clip: Annotated[Path, typer.Argument(help="Path to a video.")] = CLIP,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    frames: Annotated[int, typer.Option(min=1, help="Number of frames to decode.")] = 100,
) -> None:
    """Compare the readers."""
    samples: dict[str, list[float]] = {reader: [] for reader in READERS}
    for _ in range(rounds):
        for reader in READERS:
            samples[reader].append(cpu_ms(reader, str(clip), frames))
    before = np.array(samples["opencv"])
    print(
        f"{'reader':8}  {'CPU ms/frame':>12}  {'ratio':>5}  (median of {rounds}, {measured_on('av', 'opencv-python')})"
    )
    for reader, values in samples.items():
        ratio = median((np.array(values) / before).tolist())
        print(f"{reader:8}  {median(values):12.2f}  {ratio:5.2f}")


if __name__ == "__main__":
    run(main)

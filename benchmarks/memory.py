"""Watch the resident memory of the C program `score_nv12` while it scores frames.

    python benchmarks/memory.py build/examples/score_nv12 [--model dpiqa-lite0-int8] [--frames 2000] [--csv FILE]

The resident set at 1, 2, 5, 10, 20, 50 and 100 % of the frames, and its peak.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from measured_on import measured_on
from process_memory import memory_mb

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, find_model
from dpiqa.runtime.program import run


def main(
    program: Annotated[Path, typer.Argument(help="Path to score_nv12, built from examples/.")],
    model: Annotated[list[str] | None, typer.Option(help="Model file, or name of a shipped model; repeatable.")] = None,
    width: Annotated[int, typer.Option()] = 1920,
    height: Annotated[int, typer.Option()] = 1080,
    frames: Annotated[int, typer.Option(min=100)] = 2000,
    csv: Annotated[Path | None, typer.Option(help="Path of a CSV for the table.")] = None,
) -> None:
    """Feed noise frames one by one and read each score before the next."""
    parts = []
    for name in model or [DEFAULT_MODEL, INT8_MODEL]:
        rows = list(watch(program, find_model(name), width, height, frames))
        parts.append(
            pd.DataFrame(rows, columns=["frames", "resident_mb"]).assign(model=name, frame=f"{width}x{height}")
        )
        parts[-1]["machine"] = measured_on("openvino")
    table = pd.concat(parts)
    if csv:
        with atomic_write(csv) as file:
            table.to_csv(file, index=False, float_format="%.1f")


def watch(program: Path, model: Path, width: int, height: int, frames: int) -> Iterator[tuple[str, float]]:
    """Resident megabytes after each number of frames, and at the peak."""
    rng = np.random.default_rng(0)
    pool = [rng.integers(16, 235, width * height * 3 // 2, np.uint8).tobytes() for _ in range(4)]
    command = [program, model, str(width), str(height)]
    marks = {max(1, frames * percent // 100) for percent in (1, 2, 5, 10, 20, 50, 100)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for count in range(1, frames + 1):
            process.stdin.write(pool[count % len(pool)])
            process.stdin.flush()
            if b'"score"' not in process.stdout.readline():
                raise InputError(f"{program}: no score for frame {count}")
            if count in marks:
                typer.echo(f"{count:8} frames  {memory_mb(process.pid, 'VmRSS'):7.1f} MB resident")
                yield str(count), memory_mb(process.pid, "VmRSS")
        yield "peak", memory_mb(process.pid, "VmHWM")
        process.stdin.close()


if __name__ == "__main__":
    run(main)

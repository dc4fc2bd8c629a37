"""Watch the resident memory of the C program `score_nv12` while it scores frames.

    python benchmarks/memory.py build/examples/score_nv12 [--model FILE] [--width 1920] [--height 1080] [--frames 2000]

Prints the resident set at 1, 2, 5, 10, 20, 50 and 100 % of the frames, and its peak.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from runtime.models import shipped_model


def memory_mb(pid: int, field: str) -> float:
    """A field of the process's status, such as VmRSS or its peak VmHWM, in megabytes of 1024 KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def main(
    program: Annotated[Path, typer.Argument(help="score_nv12, built from examples/.")],
    model: Annotated[Path | None, typer.Option(help="A model file (default: the shipped one).")] = None,
    width: Annotated[int, typer.Option()] = 1920,
    height: Annotated[int, typer.Option()] = 1080,
    frames: Annotated[int, typer.Option(min=100)] = 2000,
) -> None:
    """Feed noise frames one by one and read each score before the next."""
    rng = np.random.default_rng(0)
    pool = [rng.integers(16, 235, width * height * 3 // 2, np.uint8).tobytes() for _ in range(4)]
    command = [program, model or shipped_model(), str(width), str(height)]
    marks = {max(1, frames * percent // 100) for percent in (1, 2, 5, 10, 20, 50, 100)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for count in range(1, frames + 1):
            process.stdin.write(pool[count % len(pool)])
            process.stdin.flush()
            if b'"score"' not in process.stdout.readline():
                raise typer.Exit(2)
            if count in marks:
                print(f"{count:8} frames  {memory_mb(process.pid, 'VmRSS'):7.1f} MB resident", flush=True)
        print(f"peak {memory_mb(process.pid, 'VmHWM'):.1f} MB")
        process.stdin.close()


if __name__ == "__main__":
    typer.run(main)

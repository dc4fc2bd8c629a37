"""Time, memory and size of the engines in a C program, as a firmware engineer needs them.

    python benchmarks/firmware.py --program build/examples/score_nv12 --frames 100 dpiqa-lite0-int8.pte ...

Runs the C example on 1080p NV12 frames, one process a model, in turns; writes benchmarks/firmware.csv with one row for
each: the median time of a frame, the time from the start of the process to its first score, resident memory after a
tenth of the frames, at the end, and at its peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import pandas as pd
from measured_on import measured_on
from process_memory import memory_mb

from dpiqa.runtime.files import atomic_write

WIDTH, HEIGHT = 1920, 1080


def measure(program: Path, model: Path, frame: bytes, frames: int) -> dict[str, float]:
    """One process over `frames` frames: milliseconds a frame, milliseconds to the first score, MB."""
    began = time.perf_counter()
    with subprocess.Popen(
        [program, model, str(WIDTH), str(HEIGHT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        times: list[float] = []
        first_ms = early = 0.0
        for index in range(frames):
            process.stdin.write(frame)
            process.stdin.flush()
            latency = json.loads(process.stdout.readline())["latency_ms"]
            times.append(latency["preprocess"] + latency["infer"])
            if index == 0:
                first_ms = 1000 * (time.perf_counter() - began)
            if index == frames // 10:
                early = memory_mb(process.pid, "VmRSS")
        values = {"frame_ms": statistics.median(times), "first_score_ms": first_ms, "resident_early_mb": early,
                  "resident_mb": memory_mb(process.pid, "VmRSS"),
                  "resident_peak_mb": memory_mb(process.pid, "VmHWM")}  # fmt: skip
        process.stdin.close()
    return values


def main() -> None:
    """Measure every model in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--program", type=Path, required=True, help="the C example score_nv12, flushing each line")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"), help="the file of the table")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    frame = bytes((7 * i + i // WIDTH) % 251 for i in range(WIDTH)) * (HEIGHT * 3 // 2)
    rows: dict[Path, list[dict[str, float]]] = {model: [] for model in arguments.models}
    for _ in range(arguments.rounds):
        for model, results in rows.items():
            results.append(measure(arguments.program, model, frame, arguments.frames))
    table = pd.DataFrame(
        {"model": model.name, "file_mb": model.stat().st_size / 1e6}
        | {name: statistics.median(result[name] for result in results) for name in results[0]}
        | {"machine": measured_on("executorch")}
        for model, results in rows.items()
    )
    with atomic_write(arguments.csv) as file:
        table.to_csv(file, index=False, float_format="%.1f")
    print(table.drop(columns="machine").to_string(index=False))


if __name__ == "__main__":
    main()

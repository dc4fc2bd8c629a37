"""What does `--report` add to `dpiqa score --sort --worst 20`, and does its memory stay flat?

    python benchmarks/report_time.py PICTURES [--count 2000] [--repeats 2] [--csv FILE]

The command with a report and without, in turn, at a tenth of the pictures and at all of them: its CPU seconds, of all
threads, which other programs on the machine change less than they do the time, and the peak of its resident memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from measured_on import measured_on

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.runtime.sources import expand


def main(
    pictures: Annotated[str, typer.Argument(help="Folder or glob of pictures.")],
    count: Annotated[int, typer.Option(min=10)] = 2000,
    repeats: Annotated[int, typer.Option(min=1)] = 2,
    csv: Annotated[Path | None, typer.Option(help="Path of a CSV for the table.")] = None,
) -> None:
    """Print each run, and the ratios of neighbouring ones."""
    with tempfile.TemporaryDirectory() as folder:
        shots = Path(folder, "shots")
        shots.mkdir()
        for number, file in enumerate(islice(expand(pictures), count)):
            (shots / f"{number:05}{Path(file).suffix}").symlink_to(Path(file).resolve())
        table = pd.DataFrame(measured(shots, count, repeats))
    whole = table[table["pictures"] == count]
    sums = whole.pivot_table(index="repeat", columns="report", values="cpu_s")
    ratios = sums[True] / sums[False]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    typer.echo(f"CPU with a report to without: median {statistics.median(ratios):.3f}, {spread}")
    if csv:
        with atomic_write(csv) as file:
            table.assign(machine=measured_on("openvino")).to_csv(file, index=False, float_format="%.2f")


def measured(shots: Path, count: int, repeats: int) -> Iterator[dict[str, float]]:
    """Runs over a tenth of the pictures, then over all, with a report and without."""
    tenth = shots / "????0.*"
    for repeat in range(repeats):
        for paths, number in ((tenth, count // 10), (shots, count)):
            for report in (False, True) if repeat % 2 else (True, False):
                row = one_run(str(paths), report)
                row |= {"repeat": repeat, "pictures": number, "report": report, "load": os.getloadavg()[0]}
                typer.echo("  ".join(f"{name} {value:.1f}" for name, value in row.items()))
                yield row


def one_run(paths: str, report: bool) -> dict[str, float]:
    """CPU seconds of the command, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--report", f"{folder}/sheet.html"] if report else []
        command = [sys.executable, "-m", "dpiqa", "score", paths, "--sort", "--worst", "20", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise typer.Exit(process.returncode)
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    run(main)

"""One table: does distillation help? The same student, seeds and steps with labels alone, with a teacher's words too,
and with unlabelled pictures as well.

    python benchmarks/distillation.py --teacher BEST.pt --biq2021 PATH --clive PATH --unlabelled DIR --runs DIR \\
        --out CSV

Every run is measured on BIQ2021's official test and, never having seen it, on CLIVE; the teacher itself comes last.
What was interrupted goes on where it was, and a row that is in the table is not made again.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.data.datasets import load
from dpiqa.train.evaluation.results import tested_part
from dpiqa.train.evaluation.scores import score_samples
from dpiqa.train.loop.checkpoint import weights_sha256
from dpiqa.train.loop.metrics import agreement
from dpiqa.train.loop.record import hardware
from dpiqa.train.teachers.model import load_teacher

CONDITIONS = {
    "labels": ["--teacher-weight", "0", "--map-weight", "0"],
    "labels+teacher": [],
    "labels+teacher+unlabelled": [],
}
TEACHER = "teacher itself"


def main(
    teacher: Annotated[Path, typer.Option(help="best.pt of train.teacher, trained on BIQ2021 with --split official.")],
    biq2021: Annotated[Path, typer.Option(help="BIQ2021 as published.")],
    clive: Annotated[Path, typer.Option(help="LIVE in the Wild as published; only tested on.")],
    unlabelled: Annotated[list[Path], typer.Option(help="Folder of unlabelled pictures; several times, if wanted.")],
    runs: Annotated[Path, typer.Option(help="Folder for the cache and the runs.")],
    out: Annotated[Path, typer.Option(help="The CSV to write or to go on with.")],
    preset: Annotated[str, typer.Option(help="The student, as for train.distill.")] = "lite0",
    steps: Annotated[int, typer.Option(min=1, help="The budget of every run.")] = 250,
    batch: Annotated[int, typer.Option(min=4)] = 32,
    size: Annotated[int, typer.Option()] = 256,
    crop: Annotated[int, typer.Option(min=64)] = 224,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    bf16: Annotated[bool, typer.Option(help="Ask the teacher in bfloat16, as in train.teacher_cache.")] = False,
) -> None:
    """Train and measure all conditions, seed by seed."""
    cache = runs / "cache"
    folders = [option for folder in unlabelled for option in ("--unlabelled", str(folder))]
    common = {"student": preset, "steps": steps, "batch": batch, "size": size, "crop": crop,
              "teacher": weights_sha256(load_teacher(teacher)[0])[:12]}  # fmt: skip
    table = Table(out)
    wanted = [{"condition": condition, "seed": seed} | common for seed in range(seeds) for condition in CONDITIONS]
    missing = [row for row in wanted if row not in table]
    if missing:
        _python("train.teacher_cache", "--teacher", teacher, "--data", f"biq2021={biq2021}", "--out", cache, *folders,
                *(["--bf16"] if bf16 else []))  # fmt: skip
    for row in missing:
        name = "_".join(str(value) for value in row.values())
        _python("train.distill", "--cache", cache, "--data", f"biq2021={biq2021}", "--out", runs / name,
                "--preset", preset, "--epochs", 1, "--steps", steps, "--batch", batch, "--size", size,
                "--crop", crop, "--seed", row["seed"], *CONDITIONS[row["condition"]],
                *(folders if "unlabelled" in row["condition"] else []))  # fmt: skip
        seconds = float(pd.read_csv(runs / name / "log.csv")["train_seconds"].sum())
        table.add(row, figures(runs / name / "best.pt", biq2021, clive) | {"train_seconds": seconds})
    row = {"condition": TEACHER, "seed": 0} | common
    if row not in table:
        table.add(row, figures(teacher, biq2021, clive))


class Table:
    """A CSV that grows by one measured row at a time, each written at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = pd.read_csv(path, dtype={"teacher": str}).to_dict("records")

    def __contains__(self, row: dict[str, Any]) -> bool:
        return any(all(str(known.get(key)) == str(value) for key, value in row.items()) for known in self.rows)

    def add(self, row: dict[str, Any], measured: dict[str, Any]) -> None:
        """Append a row, with the hardware and the versions of the libraries."""
        self.rows.append(row | measured | {"hardware": f"{hardware()}, timm {version('timm')}"})
        with atomic_write(self.path) as file:
            pd.DataFrame(self.rows).to_csv(file, index=False)
        typer.echo(self.rows[-1])


def figures(checkpoint: Path, biq2021: Path, clive: Path) -> dict[str, float]:
    """SRCC and PLCC on BIQ2021's official test and on all of CLIVE."""
    found: dict[str, float] = {}
    for name, path, split in (("biq2021", biq2021, "official"), ("clive", clive, "all")):
        samples = tested_part(load(name, path), split)
        measured = agreement(score_samples(checkpoint, samples), pd.Series([s.mos for s in samples]).to_numpy())
        found |= {f"{name}_srcc": round(measured.srcc, 4), f"{name}_plcc": round(measured.plcc, 4)}
    return found


def _python(module: str, *options: object) -> None:
    done = subprocess.run([sys.executable, "-m", module, *map(str, options)], check=False)
    if done.returncode:
        raise InputError(
            f"{module} ended with status {done.returncode}, see above; the same command goes on from there"
        )


if __name__ == "__main__":
    run(main)

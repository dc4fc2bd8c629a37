"""Does distillation help? The same student, seeds and steps: labels alone, a teacher's predictions in addition, and
unlabelled pictures as well.

    python benchmarks/distillation.py --teacher BEST.pt --biq2021 PATH --clive PATH --unlabelled DIR --runs DIR \\
        --out CSV

Every run is measured on BIQ2021's official test and on CLIVE, of which nothing is used for training; the teacher itself
comes last. An interrupted run resumes, and a row that is in the table is not measured again.
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
from dpiqa.train.loop.checkpoint import state_sha256
from dpiqa.train.loop.metrics import agreement
from dpiqa.train.loop.run import hardware
from dpiqa.train.teachers.model import load_teacher

CONDITIONS = {
    "labels": ["--teacher-weight", "0", "--map-weight", "0"],
    "labels+teacher": [],
    "labels+teacher+unlabelled": [],
}
TEACHER = "teacher itself"


def main(
    teacher: Annotated[
        Path, typer.Option(help="Path to best.pt of dpiqa train teacher, trained on BIQ2021 with --split official.")
    ],
    biq2021: Annotated[Path, typer.Option(help="Path to BIQ2021 as published.")],
    clive: Annotated[Path, typer.Option(help="Path to LIVE in the Wild as published; for tests only.")],
    unlabelled: Annotated[list[Path], typer.Option(help="Path to a folder of unlabelled pictures; repeatable.")],
    runs: Annotated[Path, typer.Option(help="Path of the folder for the cache and the runs.")],
    out: Annotated[Path, typer.Option(help="Path of the CSV to write or to continue.")],
    preset: Annotated[str, typer.Option(help="Preset of the student, as for dpiqa train distill.")] = "lite0",
    steps: Annotated[int, typer.Option(min=1, help="Number of steps of each run.")] = 250,
    batch: Annotated[int, typer.Option(min=4)] = 32,
    size: Annotated[int, typer.Option()] = 256,
    crop: Annotated[int, typer.Option(min=64)] = 224,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    bf16: Annotated[bool, typer.Option(help="Run the teacher in bfloat16, as in dpiqa train teacher-cache.")] = False,
) -> None:
    """Train and measure all conditions, seed by seed."""
    cache = runs / "cache"
    folders = [option for folder in unlabelled for option in ("--unlabelled", str(folder))]
    common = {"student": preset, "steps": steps, "batch": batch, "size": size, "crop": crop,
              "teacher": state_sha256(load_teacher(teacher)[0])[:12]}  # fmt: skip
    table = Table(out)
    rows = [{"condition": condition, "seed": seed} | common for seed in range(seeds) for condition in CONDITIONS]
    missing = [row for row in rows if row not in table]
    if missing:
        _train("teacher-cache", "--teacher", teacher, "--data", f"biq2021={biq2021}", "--out", cache, *folders,
                *(["--bf16"] if bf16 else []))  # fmt: skip
    for row in missing:
        name = "_".join(str(value) for value in row.values())
        _train("distill", "--cache", cache, "--data", f"biq2021={biq2021}", "--out", runs / name,
                "--preset", preset, "--epochs", 1, "--steps", steps, "--batch", batch, "--size", size,
                "--crop", crop, "--seed", row["seed"], *CONDITIONS[row["condition"]],
                *(folders if "unlabelled" in row["condition"] else []))  # fmt: skip
        seconds = float(pd.read_csv(runs / name / "log.csv")["train_seconds"].sum())
        table.add(row, metrics(runs / name / "best.pt", biq2021, clive) | {"train_seconds": seconds})
    row = {"condition": TEACHER, "seed": 0} | common
    if row not in table:
        table.add(row, metrics(teacher, biq2021, clive))


class Table:
    """A CSV file that grows by one measured row at a time, each written immediately."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = pd.read_csv(path, dtype={"teacher": str}).to_dict("records")

    def __contains__(self, row: dict[str, Any]) -> bool:
        return any(all(str(other.get(key)) == str(value) for key, value in row.items()) for other in self.rows)

    def add(self, row: dict[str, Any], measured: dict[str, Any]) -> None:
        """Append a row, with the hardware and the versions of the libraries."""
        self.rows.append(row | measured | {"hardware": f"{hardware()}, timm {version('timm')}"})
        with atomic_write(self.path) as file:
            pd.DataFrame(self.rows).to_csv(file, index=False)
        typer.echo(self.rows[-1])


def metrics(checkpoint: Path, biq2021: Path, clive: Path) -> dict[str, float]:
    """SRCC and PLCC on BIQ2021's official test and on all of CLIVE."""
    metrics_by_set: dict[str, float] = {}
    for name, path, split in (("biq2021", biq2021, "official"), ("clive", clive, "all")):
        samples = tested_part(load(name, path), split)
        measured = agreement(score_samples(checkpoint, samples), pd.Series([s.mos for s in samples]).to_numpy())
        metrics_by_set |= {f"{name}_srcc": round(measured.srcc, 4), f"{name}_plcc": round(measured.plcc, 4)}
    return metrics_by_set


def _train(verb: str, *options: object) -> None:
    done = subprocess.run([sys.executable, "-m", "dpiqa", "train", verb, *map(str, options)], check=False)
    if done.returncode:
        raise InputError(
            f"dpiqa train {verb} ended with exit status {done.returncode}, see above; the same command resumes"
        )


if __name__ == "__main__":
    run(main)

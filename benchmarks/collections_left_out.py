"""Scores of a student on a collection that it was not trained on, by the pictures that its loss compares.

    python benchmarks/collections_left_out.py --biq2021 PATH --runs DIR [--steps 120] [--seeds 1] [--out CSV]

BIQ2021 joins three collections. Each in turn is left out (`dpiqa train student --split leave:SUBSET`) and measured,
once with correlation and ranking over the whole batch and once within each collection, all else equal. No official test
picture is used. An interrupted run resumes, and a row that is in the table is not measured again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from distillation import Table
from torch import Tensor

from dpiqa.runtime.program import run
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import CollectedFrames, RatedFrames
from dpiqa.train.data.splits import split
from dpiqa.train.loop.fit import fit
from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import RunRecord, StudentConfig
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS

_HERE = Path(__file__).parent
COMPARED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "all pictures": lambda score, mos, _: quality_loss(score, mos),
    "those of one collection": quality_loss,
}


def main(
    biq2021: Annotated[Path, typer.Option(help="Path to BIQ2021.")],
    runs: Annotated[Path, typer.Option(help="Path of the folder for the runs.")],
    steps: Annotated[int, typer.Option(min=1)] = 120,
    size: Annotated[int, typer.Option()] = 256,
    crop: Annotated[int, typer.Option(min=64)] = 192,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Path of the CSV to write or to continue.")] = _HERE
    / "collections_left_out.csv",
) -> None:
    """Train and measure both, collection by collection."""
    everything = load("biq2021", biq2021)
    table, spec = Table(out), InputSpec(height=size, width=size)
    for seed in range(seeds):
        recipe = Recipe(epochs=1, crop=crop, seed=seed)
        for left in sorted({sample.subset or "" for sample in everything}):
            parts = split(everything, f"leave:{left}", seed)
            chosen = np.random.default_rng(seed).permutation(len(parts.train))[: steps * recipe.batch]
            frames = CollectedFrames([parts.train[place] for place in chosen], spec, crop, seed)
            for compared, loss in COMPARED.items():
                row = {"compared": compared, "left_out": left, "seed": seed, "steps": steps, "size": size, "crop": crop}
                if row in table:
                    continue
                torch.manual_seed(seed)
                student = Student(PRESETS["lite0"][0])
                student.load_imagenet()
                record = RunRecord(student=StudentConfig(**student.config), input=spec, trained_on=())
                folder = runs / "_".join(str(value) for value in row.values())
                folder.mkdir(parents=True, exist_ok=True)
                fit(
                    student,
                    frames,
                    RatedFrames(parts.val, spec),
                    recipe,
                    folder,
                    record,
                    loss=loss,
                )
                log = pd.read_csv(folder / "log.csv").iloc[-1].drop(["epoch", "loss"]).round(4).to_dict()
                table.add(row, {"images": len(parts.val)} | log)


if __name__ == "__main__":
    run(main)

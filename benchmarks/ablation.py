"""What each lesson on made faults gives: one short training a condition and seed, judged on pictures held out.

    python benchmarks/ablation.py --biq2021 PATH --pristine DIR --runs DIR [--steps 120] [--seeds 1] [--out CSV]

Every run sees as many rated pictures, the same ones in the same order, and is measured on BIQ2021's validation part and
on the ladder of faults over pristine photographs held out (train/fault_check.py); no test set is touched. What was
interrupted goes on where it was, and a row that is in the table is not made again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from distillation import Table

from dpiqa.runtime.program import run
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.data.splits import Split, split
from dpiqa.train.distortions.check import fault_figures
from dpiqa.train.distortions.lessons import ROLES, Ladder, Pristine, collect_pristine
from dpiqa.train.distortions.options import LEAST_MOS, FaultWeights
from dpiqa.train.distortions.plan import FaultPlan
from dpiqa.train.loop.fit import fit, pick_precision
from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS

_HERE = Path(__file__).parent
CONDITIONS: dict[str, FaultWeights | None] = {
    "labels": None,
    "labels+order": FaultWeights(order=1, causes=0, map=0),
    "labels+order+causes": FaultWeights(order=1, causes=1, map=0),
    "labels+order+causes+map": FaultWeights(order=1, causes=1, map=1),
}


def train(
    weights: FaultWeights | None, parts: Split, pristine: Pristine, share: float, recipe: Recipe, size: int, out: Path
) -> dict[str, Any]:
    """One run; the last row of its log."""
    torch.manual_seed(recipe.seed)
    spec = InputSpec(height=size, width=size)
    plan = FaultPlan(share, weights, pristine) if weights else None
    student = Student(PRESETS["lite0"][0], **(plan.heads if plan else {}))
    student.load_imagenet()
    crops, frames = RatedFrames(parts.train, spec, recipe.crop, recipe.seed), RatedFrames(parts.val, spec)
    out.mkdir(parents=True, exist_ok=True)
    about = {"student": student.config}
    check = partial(fault_figures, names=student.outputs, ladder=Ladder(pristine.val, spec))
    loss = plan.loss(student.outputs, lambda said, mos: quality_loss(said["score"], mos)) if plan else quality_loss
    fit(student, plan.lessons(crops) if plan else crops, frames, recipe, out, about, loss=loss, check=check)
    return pd.read_csv(out / "log.csv").iloc[-1].drop(["epoch", "loss"]).round(4).to_dict()


def main(
    biq2021: Annotated[Path, typer.Option(help="The folder of BIQ2021.")],
    pristine: Annotated[list[Path], typer.Option(help="Folder of good photographs to degrade; several times.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
    steps: Annotated[int, typer.Option(min=1)] = 120,
    batch: Annotated[int, typer.Option(min=8)] = 32,
    share: Annotated[float, typer.Option(help="Of every batch that is made faults.")] = 0.4,
    size: Annotated[int, typer.Option()] = 256,
    crop: Annotated[int, typer.Option(min=64)] = 192,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path, typer.Option(help="The CSV to write or to go on with.")] = _HERE / "ablation.csv",
) -> None:
    """Train and measure all conditions, seed by seed."""
    everything = load("biq2021", biq2021)
    rated = batch - ROLES * max(1, round(share * batch / ROLES))
    table = Table(out)
    for seed in range(seeds):
        whole = split(everything, "official", Recipe.seed)
        chosen = np.random.default_rng(seed).permutation(len(whole.train))[: steps * rated]
        parts = Split([whole.train[place] for place in chosen], whole.val)
        pictures = collect_pristine(pristine, whole.train, LEAST_MOS, Recipe.seed)
        for condition, weights in CONDITIONS.items():
            row = {"lessons": condition, "seed": seed, "steps": steps, "rated": rated, "share": share, "size": size,
                   "crop": crop}  # fmt: skip
            if row in table:
                continue
            recipe = Recipe(epochs=1, batch=batch if weights else rated, crop=crop, seed=seed,
                            precision=pick_precision(None))  # fmt: skip
            folder = runs / "_".join(str(value) for value in row.values())
            table.add(row, train(weights, parts, pictures, share, recipe, size, folder))


if __name__ == "__main__":
    run(main)

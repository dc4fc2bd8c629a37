"""The effect of each lesson on distorted pictures: one short training per condition and seed.

    python benchmarks/ablation.py --biq2021 PATH --pristine DIR --runs DIR [--steps 120] [--seeds 1] [--out CSV]

Every run sees the same rated pictures in the same order, and is measured on BIQ2021's validation part and on the ladder
of distortions of held-out pristine photographs (train/distortions/metrics.py); no test set is used. An interrupted run
resumes, and a row that is in the table is not measured again.
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
from dpiqa.train.distortions.frames import Ladder, distorted_count
from dpiqa.train.distortions.metrics import distortion_metrics
from dpiqa.train.distortions.options import LEAST_MOS
from dpiqa.train.distortions.plan import DistortionPlan
from dpiqa.train.distortions.pristine import Pristine, collect_pristine
from dpiqa.train.loop.fit import fit, pick_precision
from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.loop.recipe import DistortionWeights, Recipe
from dpiqa.train.loop.record import RunRecord, StudentConfig
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS

_HERE = Path(__file__).parent
CONDITIONS: dict[str, DistortionWeights | None] = {
    "labels": None,
    "labels+order": DistortionWeights(order=1, causes=0, map=0),
    "labels+order+causes": DistortionWeights(order=1, causes=1, map=0),
    "labels+order+causes+map": DistortionWeights(order=1, causes=1, map=1),
}


def train(
    weights: DistortionWeights | None,
    parts: Split,
    pristine: Pristine,
    share: float,
    recipe: Recipe,
    size: int,
    out: Path,
) -> dict[str, Any]:
    """One run; the last row of its log."""
    torch.manual_seed(recipe.seed)
    spec = InputSpec(height=size, width=size)
    plan = DistortionPlan(share, weights, pristine) if weights else None
    student = Student(PRESETS["lite0"][0], **(plan.heads if plan else {}))
    student.load_imagenet()
    crops, frames = RatedFrames(parts.train, spec, recipe.crop, recipe.seed), RatedFrames(parts.val, spec)
    out.mkdir(parents=True, exist_ok=True)
    record = RunRecord(student=StudentConfig(**student.config), input=spec, trained_on=())
    check = partial(distortion_metrics, names=student.outputs, ladder=Ladder(pristine.val, spec))
    loss = (
        plan.loss(student.outputs, lambda outputs, mos: quality_loss(outputs["score"], mos)) if plan else quality_loss
    )
    fit(student, plan.frames(crops) if plan else crops, frames, recipe, out, record, loss=loss, check=check)
    return pd.read_csv(out / "log.csv").iloc[-1].drop(["epoch", "loss"]).round(4).to_dict()


def main(
    biq2021: Annotated[Path, typer.Option(help="Path to BIQ2021.")],
    pristine: Annotated[list[Path], typer.Option(help="Path to a folder of good photographs to distort; repeatable.")],
    runs: Annotated[Path, typer.Option(help="Path of the folder for the runs.")],
    steps: Annotated[int, typer.Option(min=1)] = 120,
    batch: Annotated[int, typer.Option(min=8)] = 32,
    share: Annotated[float, typer.Option(help="Fraction of each batch that is distorted.")] = 0.4,
    size: Annotated[int, typer.Option()] = 256,
    crop: Annotated[int, typer.Option(min=64)] = 192,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Path of the CSV to write or to continue.")] = _HERE / "ablation.csv",
) -> None:
    """Train and measure all conditions, seed by seed."""
    everything = load("biq2021", biq2021)
    rated = batch - distorted_count(batch, share)
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

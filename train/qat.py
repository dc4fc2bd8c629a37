"""Fine-tune a student for INT8: `python -m train.qat --checkpoint BEST.pt --data NAME=PATH --out DIR`.

The student with fake quantizers learns to give the scores, causes and maps that it gave before, and to see the pooled
features that it saw before, so that they drift as little as can be; opinion scores take no part. `python -m export.qat`
turns the result into an INT8 model file and judges it.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.loop.recipe import Recipe

MIN_CALIBRATION = 256


def main(
    checkpoint: Annotated[Path, typer.Option(help="best.pt of train.student, or the run's folder.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a data set, as the student was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    images: Annotated[int, typer.Option(min=1, help="How many pictures of the training part to learn on.")] = 1000,
    calibrate: Annotated[int, typer.Option(min=1, help="How many of them the first ranges are taken from.")] = 300,
    percentile: Annotated[
        float, typer.Option(min=50, max=100, help="Where ranges end; 100 takes the largest value.")
    ] = 99.9,
    allow_few: Annotated[bool, typer.Option(help="Calibrate on however few pictures.")] = False,
    epochs: Annotated[int, typer.Option(min=1)] = 1,
    batch: Annotated[int, typer.Option(min=2)] = 16,
    lr: Annotated[float, typer.Option(min=0)] = 1e-5,
    feature_weight: Annotated[float, typer.Option(min=0, help="Of the pooled features beside the scores.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws the pictures.")] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default where the hardware has it.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Insert fake quantizers, take their ranges from pictures, and fine-tune towards the FP32 student's scores."""
    import torch
    from torch import nn

    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.data.datasets import check_pictures, load, parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import merge, resolve
    from dpiqa.train.data.splits import split as divide
    from dpiqa.train.loop.fit import fit, pick_precision, predict
    from dpiqa.train.students.files import load_student
    from dpiqa.train.students.imitation import ImitatedFrames, Imitator, imitation_loss
    from dpiqa.train.students.quantizers import add_quantizers, clip_ranges, fold_batch_norms

    reference, about = load_student(checkpoint / "best.pt" if checkpoint.is_dir() else checkpoint)
    spec = InputSpec(**about["input"])
    parts, seen = [], []
    for name, path in map(parse_source, data):
        samples = load(name, path)
        division = resolve(split, samples)
        parts.append(divide(samples, division, seed))
        seen.append({"name": name, "split": division, "images": len(parts[-1].train)})
    whole = merge(parts)
    drawn = random.Random(seed).sample(whole.train, min(images, len(whole.train)))
    needed = 1 if allow_few else MIN_CALIBRATION
    if min(calibrate, len(drawn)) < needed:
        raise InputError(
            f"{min(calibrate, len(drawn))} pictures to calibrate on, at least {needed} are needed (--allow-few insists)"
        )
    val = random.Random(seed).sample(whole.val, min(images // 10 + 4, len(whole.val)))
    check_pictures("training part", drawn + val, progress=True)
    torch.manual_seed(seed)
    imitated = Imitator(**reference.config).eval()
    imitated.load_state_dict(reference.state_dict())
    train_set, val_set = (ImitatedFrames(samples, spec, imitated) for samples in (drawn, val))

    def show(model: nn.Module) -> None:
        predict(model, RatedFrames(drawn[:calibrate], spec))

    student = add_quantizers(fold_batch_norms(imitated), show)
    if percentile < 100:
        clip_ranges(student, show, percentile)
    for dropout in (module for module in student.modules() if isinstance(module, nn.Dropout)):
        dropout.p = 0.0  # it would move the outputs that are to stay
    recipe = Recipe(epochs=epochs, batch=batch, crop=min(spec.height, spec.width), lr=lr, trunk_lr=1.0,
                    weight_decay=0.0, seed=seed, precision=pick_precision(bf16))  # fmt: skip
    learned = sorted(sample.path.name for sample in drawn + val)
    quantized = {"calibrated_on": min(calibrate, len(drawn)), "percentile": percentile, "images": len(drawn)}
    quantized |= {"feature_weight": feature_weight, "seed": seed, "learned": learned}
    trained_on = about["trained_on"] + [entry for entry in seen if entry["name"] not in _names(about)]
    about |= {"quantized": quantized, "trained_on": trained_on}
    out.mkdir(parents=True, exist_ok=True)
    spread = train_set.answers[-1].std(0).clamp_min(1e-3)
    loss = partial(imitation_loss, spread=spread, weight=feature_weight)
    best = fit(student, train_set, val_set, recipe, out, about, save_every, loss)
    with atomic_write(out / "run.json") as file:
        file.write(json.dumps(about | {"start": str(checkpoint), "recipe": asdict(recipe)}, indent=2).encode() + b"\n")
    typer.echo(f"best epoch: {best}; python -m export.qat makes the INT8 model of it")


def _names(about: dict) -> set[str]:
    return {entry["name"] for entry in about["trained_on"]}


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train qat --checkpoint runs/mine/best.pt --data csv=scores.csv --out runs/mine-qat"

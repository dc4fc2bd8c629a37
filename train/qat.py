"""Fine-tune a student for INT8: `python -m train.qat --checkpoint BEST.pt --data NAME=PATH --out DIR`.

The student with fake quantizers learns to give the scores that it gave before, so that its scores drift as little as
can be; opinion scores take no part. `python -m export.qat` turns the result into an INT8 model file and judges it.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.spec import InputSpec

from .datasets import Sample, check_pictures, load, parse_source
from .frames import RatedFrames
from .loop import Recipe, bf16_helps, fit, predict
from .losses import regression_loss
from .quantizers import add_quantizers, fold_batch_norms
from .splits import merge
from .splits import split as divide
from .student import Student, load_student

MIN_CALIBRATION = 256


def scored_by(student: Student, samples: list[Sample], spec: InputSpec) -> list[Sample]:
    """The same pictures with the student's scores in place of MOS."""
    scores, _ = predict(student, RatedFrames(samples, spec))
    return [replace(sample, mos=float(score)) for sample, score in zip(samples, scores, strict=True)]


def main(
    checkpoint: Annotated[Path, typer.Option(help="best.pt of train.student, or the run's folder.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a data set, as the student was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    split: Annotated[str, typer.Option(help="official, grouped, ratio:K (K from 0 to 9), leave:SUBSET.")] = "official",
    images: Annotated[int, typer.Option(min=1, help="How many pictures of the training part to learn on.")] = 1000,
    calibrate: Annotated[int, typer.Option(min=1, help="How many of them the first ranges are taken from.")] = 300,
    allow_few: Annotated[bool, typer.Option(help="Calibrate on however few pictures.")] = False,
    epochs: Annotated[int, typer.Option(min=1)] = 1,
    batch: Annotated[int, typer.Option(min=2)] = 16,
    lr: Annotated[float, typer.Option(min=0)] = 1e-5,
    seed: Annotated[int, typer.Option(help="Draws the pictures.")] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default where the hardware has it.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Insert fake quantizers, take their ranges from pictures, and fine-tune towards the FP32 student's scores."""
    reference, about = load_student(checkpoint / "best.pt" if checkpoint.is_dir() else checkpoint)
    spec = InputSpec(**about["input"])
    parts, seen = [], []
    for name, path in map(parse_source, data):
        parts.append(divide(load(name, path), split, seed))
        seen.append({"name": name, "split": split, "images": len(parts[-1].train)})
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
    train_set, val_set = (scored_by(reference, samples, spec) for samples in (drawn, val))

    def show(model: nn.Module) -> None:
        predict(model, RatedFrames(train_set[:calibrate], spec))

    student = add_quantizers(fold_batch_norms(reference), show)
    student.head[0] = nn.Identity()  # no dropout: it would move the scores that are to stay
    mixed = bf16_helps() if bf16 is None else bf16
    side = min(spec.height, spec.width)
    recipe = Recipe(epochs=epochs, batch=batch, crop=side, lr=lr, trunk_lr=1.0, weight_decay=0.0, seed=seed, bf16=mixed)
    quantized = {"calibrated_on": min(calibrate, len(drawn)), "images": len(drawn), "seed": seed}
    trained_on = about["trained_on"] + [entry for entry in seen if entry["name"] not in _names(about)]
    about |= {"quantized": quantized, "trained_on": trained_on}
    out.mkdir(parents=True, exist_ok=True)
    best = fit(student, RatedFrames(train_set, spec), RatedFrames(val_set, spec), recipe, out, about, save_every,
               loss=regression_loss)  # fmt: skip
    with atomic_write(out / "run.json") as file:
        file.write(json.dumps(about | {"start": str(checkpoint), "recipe": asdict(recipe)}, indent=2).encode() + b"\n")
    typer.echo(f"best epoch: {best}; python -m export.qat makes the INT8 model of it")


def _names(about: dict) -> set[str]:
    return {entry["name"] for entry in about["trained_on"]}


if __name__ == "__main__":
    run(main)

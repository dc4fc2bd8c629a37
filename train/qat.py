"""Fine-tune a student for INT8: `python -m train.qat --checkpoint BEST.pt --data NAME=PATH --out DIR`.

The student with fake quantizers learns to reproduce its former scores, causes, maps and pooled features, so that they
drift as little as possible; opinion scores take no part. `python -m export.qat` turns the result into an INT8 model
file and gates it.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.loop.recipe import Recipe

MIN_CALIBRATION = 256


def main(
    checkpoint: Annotated[Path, typer.Option(help="best.pt of train.student, or the run's folder.")],
    data: Annotated[
        list[str], typer.Option(help="NAME=PATH of a data set that the student was trained on; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run in it is resumed.")],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    images: Annotated[int, typer.Option(min=1, help="Number of pictures of the training part to learn from.")] = 1000,
    calibrate: Annotated[int, typer.Option(min=1, help="Number of these to calibrate the initial ranges on.")] = 300,
    percentile: Annotated[
        float, typer.Option(min=50, max=100, help="Percentile at which ranges are clipped; 100 for the largest value.")
    ] = 99.9,
    allow_few: Annotated[
        bool, typer.Option(help=f"Allow calibration on fewer than {MIN_CALIBRATION} pictures.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 1,
    batch: Annotated[int, typer.Option(min=2, help="Pictures per step.")] = 16,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate.")] = 1e-5,
    feature_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the pooled features; that of the scores is 1.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of pictures.")] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default if the hardware has bfloat16.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Insert fake quantizers, calibrate their ranges, and fine-tune towards the FP32 student's outputs."""
    import torch
    from torch import nn

    from dpiqa.train.data.datasets import check_pictures, load, parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import merge, resolve
    from dpiqa.train.data.splits import split as divide
    from dpiqa.train.data.terms import TrainingData
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.inference import predict
    from dpiqa.train.loop.record import Quantization
    from dpiqa.train.loop.run import write_run
    from dpiqa.train.students.files import load_student
    from dpiqa.train.students.imitation import ImitatedFrames, Imitator, imitation_loss
    from dpiqa.train.students.quantizers import add_quantizers, clip_ranges, fold_batch_norms

    reference, record = load_student(checkpoint / "best.pt" if checkpoint.is_dir() else checkpoint)
    spec = record.input
    parts, sources = [], []
    for name, path in map(parse_source, data):
        samples = load(name, path)
        division = resolve(split, samples)
        parts.append(divide(samples, division, seed))
        sources.append(TrainingData(name=name, split=division, images=len(parts[-1].train)))
    whole = merge(parts)
    chosen = random.Random(seed).sample(whole.train, min(images, len(whole.train)))
    needed = 1 if allow_few else MIN_CALIBRATION
    if min(calibrate, len(chosen)) < needed:
        raise InputError(
            f"{min(calibrate, len(chosen))} pictures to calibrate on, at least {needed} are needed (or use --allow-few)"
        )
    val = random.Random(seed).sample(whole.val, min(images // 10 + 4, len(whole.val)))
    check_pictures("training part", chosen + val, progress=True)
    torch.manual_seed(seed)
    imitated = Imitator(**reference.config).eval()
    imitated.load_state_dict(reference.state_dict())
    train_set, val_set = (ImitatedFrames(samples, spec, imitated) for samples in (chosen, val))

    def run_calibration(model: nn.Module) -> None:
        predict(model, RatedFrames(chosen[:calibrate], spec))

    student = add_quantizers(fold_batch_norms(imitated), run_calibration)
    if percentile < 100:
        clip_ranges(student, run_calibration, percentile)
    for dropout in (module for module in student.modules() if isinstance(module, nn.Dropout)):
        dropout.p = 0.0  # it would change outputs that must stay
    recipe = Recipe(epochs=epochs, batch=batch, crop=min(spec.height, spec.width), lr=lr, trunk_lr=1.0,
                    weight_decay=0.0, seed=seed, precision=pick_precision(bf16))  # fmt: skip
    quantization = Quantization(
        calibration_images=min(calibrate, len(chosen)),
        percentile=percentile,
        images=len(chosen),
        feature_weight=feature_weight,
        seed=seed,
        file_names=tuple(sorted(sample.path.name for sample in chosen + val)),
    )
    names = {entry.name for entry in record.trained_on}
    trained_on = (*record.trained_on, *(source for source in sources if source.name not in names))
    record = record.model_copy(update={"quantization": quantization, "trained_on": trained_on})
    out.mkdir(parents=True, exist_ok=True)
    spread = train_set.targets[-1].std(0).clamp_min(1e-3)
    loss = partial(imitation_loss, spread=spread, weight=feature_weight)
    best = fit(student, train_set, val_set, recipe, out, record, save_every, loss)
    write_run(out, record, start=str(checkpoint), recipe=asdict(recipe))
    typer.echo(f"best epoch: {best}; python -m export.qat turns it into an INT8 model")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train qat --checkpoint runs/mine/best.pt --data csv=scores.csv --out runs/mine-qat"

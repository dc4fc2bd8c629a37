"""Average the weights of several runs: `python -m train.soup --run DIR --run DIR --data NAME=PATH --out DIR`.

The runs must have begun alike and learned from the same data, as those of one command with several seeds or learning
rates. The mean of their weights is as fast as one of them and often better, most of all on pictures from elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run as run_program
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.loop.recipe import SoupRecipe


def main(
    run: Annotated[list[Path], typer.Option(help="Folder or best.pt of a run of train.student; repeatable.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a data set that they learned from; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its log.")],
    split: Annotated[str, typer.Option(help=f"As for the runs: {DIVISIONS}")] = AUTO,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the validation part, as for the runs.")] = 0,
    imagenet: Annotated[
        float, typer.Option(min=0, max=1, help="How far the trunk is moved back to its ImageNet weights, 0 to 1.")
    ] = SoupRecipe.imagenet,
    pictures: Annotated[
        int, typer.Option(min=64, help="Training pictures to estimate batch normalisation on.")
    ] = SoupRecipe.pictures,
    crop: Annotated[
        int, typer.Option(min=64, help="Side of their crops in pixels, as for the runs.")
    ] = SoupRecipe.crop,
) -> None:
    """Average the weights of several runs, estimate batch normalisation anew, and measure on the validation part."""
    import pandas as pd

    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.loop.checkpoint import State, state_sha256
    from dpiqa.train.loop.inference import load_batches, predict
    from dpiqa.train.loop.metrics import plcc, srcc
    from dpiqa.train.loop.processes import accelerator
    from dpiqa.train.loop.record import Average
    from dpiqa.train.loop.run import record_run
    from dpiqa.train.students.averages import estimate_norms, mean_student, towards_imagenet
    from dpiqa.train.students.files import load_student

    files = [folder / "best.pt" if folder.is_dir() else folder for folder in run]
    if len(files) < 2 and not imagenet:
        raise InputError("an average needs two runs, or one and --imagenet")
    students, records = zip(*map(load_student, files), strict=True)
    first = records[0]
    for file, record in zip(files, records, strict=True):
        if (record.input, record.trained_on) != (first.input, first.trained_on):
            raise InputError(f"{file}: takes another input or learned from other data than {files[0]}")
        if (drawn := record.split_seed or 0) != split_seed:
            raise InputError(f"{file}: its validation part was drawn with --split-seed {drawn}, use it here")
    spec = first.input
    recipe = SoupRecipe(imagenet, pictures, min(crop, spec.height, spec.width))
    parts, sources = load_parts(data, split, split_seed)
    if other := [entry.name for entry in sources if entry not in first.trained_on]:
        raise InputError(f"--data {other[0]}: the runs did not learn from it, or with another --split")
    if (out / "best.pt").exists():
        raise InputError(f"{out}: holds the checkpoint of another run, choose another --out")
    began = time.monotonic()
    digests = tuple(state_sha256(student) for student in students)
    student = mean_student(list(students))
    origin = towards_imagenet(student, imagenet) if imagenet else None
    student.to(accelerator("fp32").device)
    frames = RatedFrames(parts.train, spec, recipe.crop)
    order = frames.shuffled(recipe.pictures)
    if "fixed_norms" not in student.config:
        batches = load_batches(frames, sampler=order, batch_size=recipe.batch, drop_last=len(order) > recipe.batch)
        estimate_norms(student, (crops for crops, *_ in batches))
    score, mos = predict(student, RatedFrames(parts.val, spec))
    row = {"val_srcc": srcc(score, mos), "val_plcc": plcc(score, mos), "train_seconds": time.monotonic() - began}

    record = first.model_copy(update={"average": Average(members=digests, imagenet=imagenet)})
    out.mkdir(parents=True, exist_ok=True)
    State({"ema": student}, recipe, record).save(out / "best.pt")
    with atomic_write(out / "log.csv") as file:
        pd.DataFrame([row]).to_csv(file, index=False)
    start = f"the weights {', '.join(digest[:12] for digest in digests)}" + (f" and {origin}" if origin else "")
    parameters = sum(weight.numel() for weight in student.parameters())
    record_run(out, record, command="train.soup", start=start, recipe=asdict(recipe), parameters=parameters)
    typer.echo(f"{out / 'best.pt'}: " + "  ".join(f"{name} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    run_program(main)

EXAMPLE = "dpiqa train soup --run runs/seed0 --run runs/seed1 --data csv=scores.csv --out runs/soup"

"""Teach a student what a teacher said: `python -m train.distill --cache DIR --data NAME=PATH --preset lite0 --out DIR`.

The student learns MOS where there is one, the teacher's score and quality map everywhere (paper, section 3.5). What it
writes is a checkpoint like train.student's.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.distortions.options import (
    LEAST_MOS,
    CauseWeight,
    FaultWeights,
    Folders,
    LeastMos,
    MapWeight,
    OrderWeight,
    Share,
)
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.students.presets import PRESETS
from dpiqa.train.teachers.options import Weights


def main(
    cache: Annotated[Path, typer.Option(help="Folder that train.teacher_cache wrote.")],
    data: Annotated[
        list[str], typer.Option(help="NAME=PATH of a rated data set of the cache; several times, if wanted.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    unlabelled: Annotated[
        list[Path] | None, typer.Option(help="Unlabelled folder of the cache; several times.")
    ] = None,
    preset: Annotated[str, typer.Option(help=f"The student: {', '.join(PRESETS)}.")] = "lite0",
    size: Annotated[int | None, typer.Option(help="Height and width of the model's input; else the preset's.")] = None,
    score_weight: Annotated[float, typer.Option(min=0, help="Of the scores against MOS.")] = Weights.score,
    teacher_weight: Annotated[
        float, typer.Option(min=0, help="Of the scores against the teacher's.")
    ] = Weights.teacher,
    map_weight: Annotated[float, typer.Option(min=0, help="Of the features against the teacher's map.")] = Weights.map,
    ranking_weight: Annotated[float, typer.Option(min=0, help="Of the ranking of pictures.")] = Weights.ranking,
    epochs: Annotated[int, typer.Option(min=1)] = Recipe.epochs,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps an epoch; by default one pass over all pictures.")
    ] = None,
    batch: Annotated[int, typer.Option(min=4)] = Recipe.batch,
    accumulate: Annotated[int, typer.Option(min=1, help="Learn a batch in so many parts.")] = 1,
    crop: Annotated[
        int | None,
        typer.Option(min=64, help=f"Side of the training crops.  [{Recipe.crop}; the paper's student: whole frames]"),
    ] = None,
    lr: Annotated[float, typer.Option(min=0)] = Recipe.lr,
    trunk_lr: Annotated[float, typer.Option(min=0, help="Share of --lr at which the trunk learns.")] = Recipe.trunk_lr,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the training; the parts of the data are the cache's.")
    ] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default where the hardware has it.")] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,
    faults: Share = 0.0,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    order_weight: OrderWeight = FaultWeights.order,
    cause_weight: CauseWeight = FaultWeights.causes,
    fault_map_weight: MapWeight = FaultWeights.map,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Train a student from a teacher's cache, on labelled and unlabelled pictures together."""
    import torch

    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.data.datasets import parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.distortions.plan import plan_faults
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.record import record_run
    from dpiqa.train.students.model import PROJECTION
    from dpiqa.train.teachers.cache import TeacherCache
    from dpiqa.train.teachers.distillation import Pupil, distillation_loss
    from dpiqa.train.teachers.lessons import Lessons, collect

    if preset not in PRESETS:
        raise InputError(f"unknown preset '{preset}', known: {', '.join(PRESETS)}")
    arch, side = PRESETS[preset][0], size or PRESETS[preset][1]
    crop = crop or (side if preset == "paper" else Recipe.crop)
    if crop > side:
        raise InputError(f"--crop {crop} is larger than --size {side}")
    weights = Weights(score_weight, teacher_weight, map_weight, ranking_weight)
    if weights == Weights(0, 0, 0, 0):
        raise InputError("every weight is 0, there is nothing to learn")
    taught = TeacherCache(cache)
    samples, rows, val = collect(taught, [parse_source(text) for text in data], unlabelled or [])
    rated = sum(sample.mos == sample.mos for sample in samples)
    typer.echo(f"train {rated} rated, {len(samples) - rated} unlabelled  val {len(val)}")
    if len(val) < 4:
        raise InputError("too few pictures: validation needs at least four")
    plan = plan_faults(
        faults, pristine, pristine_mos, FaultWeights(order_weight, cause_weight, fault_map_weight), samples, seed
    )
    torch.manual_seed(seed)
    pupil = Pupil(arch, **(plan.heads if plan else {}))
    origin = pupil.load_imagenet() if pretrained else "random weights"
    recipe = Recipe(epochs=epochs, batch=batch, crop=crop, lr=lr, trunk_lr=trunk_lr, seed=seed,
                    accumulate=accumulate, precision=pick_precision(bf16))  # fmt: skip
    spec = InputSpec(height=side, width=side)
    contents, named = taught.contents, {name for name, _ in map(parse_source, data)}
    labels = [origin.model_dump() for origin in contents.origins if origin.name in named]
    about = {
        "student": pupil.config,
        "input": spec.model_dump(),
        "trained_on": labels + [entry for entry in contents.trained_on if entry["name"] not in named]
        + (plan.photographs if plan else []),
        "distilled_from": {"teacher": contents.teacher, "data": contents.data, "unlabelled": len(samples) - rated,
                           "weights": asdict(weights), "pictures_an_epoch": (steps or len(samples) // batch) * batch},
    } | (plan.about if plan else {})  # fmt: skip
    lessons = Lessons(samples, rows, taught, spec, crop, seed, steps and steps * batch)
    loss = partial(distillation_loss, weights=weights)
    out.mkdir(parents=True, exist_ok=True)
    frames = RatedFrames(val, spec)
    if plan:
        names = (*pupil.outputs, "taught_map")
        mixed = plan.loss(names, lambda said, *targets: loss(tuple(said.values()), *targets))
        best = fit(pupil, plan.lessons(lessons), frames, recipe, out, about, save_every, mixed,
                   plan.check(names, spec))  # fmt: skip
    else:
        best = fit(pupil, lessons, frames, recipe, out, about, save_every, loss)
    parameters = sum(weight.numel() for name, weight in pupil.named_parameters() if not name.startswith(PROJECTION))
    record_run(out, about, start=origin, recipe=asdict(recipe), parameters=parameters)
    typer.echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train distill --cache cache --data koniq10k=PATH --preset lite0 --out runs/student"

"""Distil a teacher into a student: `python -m train.distill --cache DIR --data NAME=PATH --preset lite0 --out DIR`.

The student learns MOS where there is one, and the teacher's score and quality map everywhere (paper, section 3.5). The
result is a checkpoint like train.student's.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.distortions.options import (
    LEAST_MOS,
    CauseWeight,
    DistortionMapWeight,
    Folders,
    Fraction,
    LeastMos,
    OrderWeight,
)
from dpiqa.train.loop.recipe import DistillationWeights, DistortionWeights, Recipe
from dpiqa.train.students.presets import PRESETS


def main(
    cache: Annotated[Path, typer.Option(help="Folder that train.teacher_cache wrote.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set in the cache; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run in it is resumed.")],
    unlabelled: Annotated[list[Path] | None, typer.Option(help="Unlabelled folder in the cache; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help=f"The student: {', '.join(PRESETS)}.")] = "lite0",
    size: Annotated[
        int | None, typer.Option(help="Height and width of the model's input; by default the preset's.")
    ] = None,
    score_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the scores against MOS.")
    ] = DistillationWeights.score,
    teacher_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the scores against the teacher's.")
    ] = DistillationWeights.teacher,
    map_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the features against the teacher's map.")
    ] = DistillationWeights.map,
    ranking_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the ranking of pictures.")
    ] = DistillationWeights.ranking,
    loss: Annotated[
        Literal["paper", "smooth"],
        typer.Option(help="paper: squared errors of score and map; smooth: large errors count less, and correlation."),
    ] = "smooth",
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = Recipe.epochs,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps per epoch; by default one pass over all pictures.")
    ] = None,
    batch: Annotated[int, typer.Option(min=4, help="Pictures per step.")] = Recipe.batch,
    accumulate: Annotated[int, typer.Option(min=1, help="Number of parts in which to process a batch.")] = 1,
    crop: Annotated[
        int | None,
        typer.Option(min=64, help=f"Side of the training crops.  [{Recipe.crop}; the paper's student: whole frames]"),
    ] = None,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate.")] = Recipe.lr,
    trunk_lr: Annotated[
        float, typer.Option(min=0, help="Learning rate of the trunk as a fraction of --lr.")
    ] = Recipe.trunk_lr,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the training; the cache defines the parts of the data.")
    ] = Recipe.seed,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default if the hardware has bfloat16.")] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,
    distortions: Fraction = 0.0,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    order_weight: OrderWeight = DistortionWeights.order,
    cause_weight: CauseWeight = DistortionWeights.causes,
    distortion_map_weight: DistortionMapWeight = DistortionWeights.map,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Train a student from a teacher's cache, on labelled and unlabelled pictures together."""
    import torch

    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.data.datasets import parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.terms import TrainingData
    from dpiqa.train.distortions.plan import plan_distortions
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.record import Distillation, RunRecord, StudentConfig
    from dpiqa.train.loop.run import record_run
    from dpiqa.train.students.model import DISCARDED
    from dpiqa.train.teachers.cache import TeacherCache
    from dpiqa.train.teachers.distillation import DistilledStudent, distillation_loss
    from dpiqa.train.teachers.frames import TaughtFrames, collect_samples

    if preset not in PRESETS:
        raise InputError(f"unknown preset '{preset}', known: {', '.join(PRESETS)}")
    arch, side = PRESETS[preset][0], size or PRESETS[preset][1]
    crop = crop or (side if preset == "paper" else Recipe.crop)
    if crop > side:
        raise InputError(f"--crop {crop} is larger than --size {side}")
    weights = DistillationWeights(score_weight, teacher_weight, map_weight, ranking_weight)
    teacher = TeacherCache(cache)
    if not teacher.has_maps:
        weights = replace(weights, map=0.0)
    if weights == DistillationWeights(0, 0, 0, 0):
        raise InputError("every weight is 0, there is nothing to learn")
    samples, rows, val = collect_samples(teacher, [parse_source(text) for text in data], unlabelled or [])
    rated = sum(sample.mos == sample.mos for sample in samples)
    typer.echo(f"train {rated} rated, {len(samples) - rated} unlabelled  val {len(val)}")
    if len(val) < 4:
        raise InputError("too few pictures: validation needs at least four")
    distortion_weights = DistortionWeights(order_weight, cause_weight, distortion_map_weight)
    plan = plan_distortions(distortions, pristine, pristine_mos, distortion_weights, samples, seed)
    torch.manual_seed(seed)
    student = DistilledStudent(arch, **(plan.heads if plan else {}))
    origin = student.load_imagenet() if pretrained else "random weights"
    recipe = Recipe(epochs=epochs, batch=batch, crop=crop, lr=lr, trunk_lr=trunk_lr, seed=seed,
                    accumulate=accumulate, precision=pick_precision(bf16))  # fmt: skip
    spec = InputSpec(height=side, width=side)
    contents, names = teacher.contents, {name for name, _ in map(parse_source, data)}
    trained_on = [TrainingData(**source.model_dump()) for source in contents.origins if source.name in names]
    trained_on += [entry for entry in contents.trained_on if entry.name not in names]
    trained_on += plan.photographs if plan else []
    record = RunRecord(
        student=StudentConfig(**student.config),
        input=spec,
        trained_on=tuple(trained_on),
        distillation=Distillation(
            teacher=contents.teacher,
            data=contents.data,
            unlabelled=len(samples) - rated,
            weights=weights,
            images_per_epoch=(steps or len(samples) // batch) * batch,
            loss=None if loss == "smooth" else loss,
        ),
        distortions=plan.record if plan else None,
    )
    taught = TaughtFrames(samples, rows, teacher, spec, crop, seed, steps and steps * batch)
    taught_loss = partial(distillation_loss, weights=weights, squared=loss == "paper")
    out.mkdir(parents=True, exist_ok=True)
    frames = RatedFrames(val, spec)
    if plan:
        outputs = (*student.outputs, "taught_map")
        mixed = plan.loss(outputs, lambda by_name, *targets: taught_loss(tuple(by_name.values()), *targets))
        best = fit(student, plan.frames(taught), frames, recipe, out, record, save_every, mixed,
                   plan.check(outputs, spec))  # fmt: skip
    else:
        best = fit(student, taught, frames, recipe, out, record, save_every, taught_loss)
    parameters = sum(weight.numel() for name, weight in student.named_parameters() if not name.startswith(DISCARDED))
    record_run(out, record, start=origin, recipe=asdict(recipe), parameters=parameters)
    typer.echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train distill --cache cache --data koniq10k=PATH --preset lite0 --out runs/student"

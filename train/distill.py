"""Teach a student what a teacher said: `python -m train.distill --cache DIR --data NAME=PATH --preset lite0 --out DIR`.

The student learns MOS where there is one, the teacher's score and quality map everywhere (paper, section 3.5). What it
writes is a checkpoint like train.student's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from runtime.command import run
from runtime.errors import InputError
from runtime.spec import InputSpec

from .cache import MAP_SHAPE, TeacherCache
from .checkpoint import Recipe
from .datasets import parse_source
from .fault_losses import FaultWeights
from .fault_plan import LEAST_MOS, CauseWeight, Folders, LeastMos, MapWeight, OrderWeight, Share, plan_faults
from .frames import RatedFrames
from .lessons import Lessons, collect
from .loop import fit, pick_precision
from .losses import correlation_loss, ranking_loss, regression_loss
from .record import record_run
from .student_model import PRESETS, PROJECTION, Student


@dataclass(frozen=True)
class Weights:
    """What each loss counts; one of weight 0 is left out."""

    score: float = 1.0
    teacher: float = 1.0
    map: float = 1.0
    ranking: float = 1.0


class Pupil(Student):
    """A student that also draws the teacher's map, last of its outputs, by a projection that is no part of the student.

    The map is a linear function of the four feature levels, so that what it teaches must be in the features.
    """

    def __init__(self, arch: str, **heads: Any) -> None:
        super().__init__(arch, **heads)
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        self.projection = nn.ModuleList(nn.Conv2d(count, MAP_SHAPE[0], 1) for count in channels)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and standardised maps `[N, 8, H / 4, W / 4]`."""
        levels = self.look(frames)
        drawn = [project(level) for project, level in zip(self.projection, levels, strict=False)]
        size = drawn[0].shape[2:]
        resized = [functional.interpolate(level, size, mode="bilinear") for level in drawn]
        return *self.judge(levels), torch.stack(resized).sum(0).float()


def distillation_loss(
    outputs: tuple[Tensor, ...], mos: Tensor, taught: Tensor, maps: Tensor, weights: Weights
) -> Tensor:
    """The weighted sum of all losses; `mos` (NaN where unknown) and `taught` (the teacher's scores) `[N]` in points.

    Scores are judged as in training on MOS, by regression and correlation. Pictures are ranked by MOS or, where they
    have none, by the teacher's score. Maps `[N, 8, h, w]` are compared by smooth L1 at the teacher's scale.
    """
    score, *_, drawn = outputs
    rated = mos.isfinite()
    total = 0 * (score.sum() + drawn.sum())  # every weight takes part, as several processes need it
    if weights.score and rated.any():
        total = total + weights.score * _score_loss(score[rated], mos[rated])
    if weights.teacher:
        total = total + weights.teacher * _score_loss(score, taught)
    if weights.ranking:
        total = total + weights.ranking * ranking_loss(score, torch.where(rated, mos, taught))
    if weights.map:
        drawn = functional.interpolate(drawn, maps.shape[2:], mode="bilinear", antialias=True)
        total = total + weights.map * functional.smooth_l1_loss(drawn, maps)
    return total


def _score_loss(score: Tensor, target: Tensor) -> Tensor:
    return regression_loss(score, target) + correlation_loss(score, target)


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

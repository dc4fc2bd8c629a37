"""Train a student: `python -m train.student --data NAME=PATH --out DIR`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.distortions.options import (
    LEAST_MOS,
    CauseWeight,
    Folders,
    Fraction,
    LeastMos,
    MapWeight,
    OrderWeight,
)
from dpiqa.train.loop.recipe import DistortionWeights, Recipe
from dpiqa.train.students.presets import PRESETS


def main(
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run in it is resumed.")],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    arch: Annotated[str | None, typer.Option(help="Any timm trunk with four feature levels; by default Lite0.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the model's input, by default 384.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Student to start from: a checkpoint or an FP32 model file; sets trunk and input."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=4, help="Pictures per step.")] = Recipe.batch,
    crop: Annotated[int, typer.Option(min=64, help="Side of the training crops in pixels.")] = Recipe.crop,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate.")] = Recipe.lr,
    trunk_lr: Annotated[
        float, typer.Option(min=0, help="Learning rate of the trunk as a fraction of --lr.")
    ] = Recipe.trunk_lr,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Random seed; new heads begin alike whatever it is."),
    ] = Recipe.seed,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the validation part.")] = 0,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision; by default if the hardware has bfloat16.")] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,
    across_collections: Annotated[
        bool, typer.Option("--across-collections", help="Also rank pictures of different collections by MOS.")
    ] = False,
    deviations: Annotated[
        bool, typer.Option("--deviations", help="The score reads the deviations of features as well as their means.")
    ] = False,
    offsets: Annotated[
        bool, typer.Option("--offsets", help="Learn an offset of each collection beside the scores, and discard it.")
    ] = False,
    whole: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of the steps, at the end, that take whole frames.")
    ] = Recipe.whole,
    distortions: Fraction = 0.0,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    order_weight: OrderWeight = DistortionWeights.order,
    cause_weight: CauseWeight = DistortionWeights.causes,
    map_weight: MapWeight = DistortionWeights.map,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Train a student on human opinion scores and keep its best epoch on the validation part.

    With --distortions it also learns from distorted photographs, and predicts causes and a quality map; train.heads
    adds these afterwards and leaves every score unchanged. train.soup averages the weights of several runs.
    """
    import torch

    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.data.frames import CollectedFrames, RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.distortions.plan import plan_distortions
    from dpiqa.train.loop.checkpoint import state_sha256
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.record import RunRecord, StudentConfig
    from dpiqa.train.loop.run import record_run
    from dpiqa.train.students.collections import OFFSETS, CollectedStudent, by_name, rating_loss
    from dpiqa.train.students.files import load_start, with_heads
    from dpiqa.train.students.model import DISCARDED, Student

    if offsets and across_collections:
        raise InputError("--offsets: allow for collections, which --across-collections compares; leave one of them out")
    parts, trained_on = load_parts(data, split, split_seed)
    weights = DistortionWeights(order_weight, cause_weight, map_weight)
    plan = plan_distortions(distortions, pristine, pristine_mos, weights, parts.train, seed)
    trained_on += plan.photographs if plan else []
    typer.echo(parts)
    torch.manual_seed(Recipe.seed)
    heads: dict[str, Any] = (plan.heads if plan else {}) | ({"deviations": True} if deviations else {})
    digest = None
    if start:
        student, earlier = load_start(start, arch)
        outputs = student.outputs
        spec, digest = earlier.input, state_sha256(student)
        origin = f"a student of weights {digest[:12]}"
        student = with_heads(student, heads)
        if dropped := [name for name in outputs if name not in student.outputs]:
            typer.echo(f"leaving out {' and '.join(dropped)}: only distorted pictures teach them, see --distortions")
        trained_on = [entry for entry in earlier.trained_on if entry not in trained_on] + trained_on
    else:
        student, side = Student(arch or PRESETS["lite0"][0], **heads), PRESETS["lite0"][1]
        spec = InputSpec(height=side, width=side)
        origin = student.load_imagenet() if pretrained else "random weights"
    if size:
        spec = InputSpec(height=size, width=size, resize=spec.resize)
    if crop > (side := min(spec.height, spec.width)):
        raise InputError(f"--crop {crop} is larger than --size {side}")
    precision = pick_precision(bf16)
    recipe = Recipe(epochs=epochs, batch=batch, crop=crop, lr=lr, trunk_lr=trunk_lr, seed=seed, precision=precision,
                    whole=whole)  # fmt: skip
    record = RunRecord(
        student=StudentConfig(**student.config),
        input=spec,
        trained_on=tuple(trained_on),
        start_sha256=digest,
        distortions=plan.record if plan else None,
        across_collections=across_collections,
        split_seed=split_seed or None,
        offsets=offsets or None,
    )
    out.mkdir(parents=True, exist_ok=True)
    collected = CollectedFrames(parts.train, spec, crop, seed)
    crops = RatedFrames(parts.train, spec, crop, seed) if across_collections else collected
    val = RatedFrames(parts.val, spec)
    names = student.outputs
    if offsets:
        student, names = CollectedStudent(student, collected.pictures()), (*names, OFFSETS)
    if plan:
        best = fit(student, plan.frames(crops), val, recipe, out, record, save_every, plan.loss(names, rating_loss),
                   plan.check(names, spec))  # fmt: skip
    else:
        best = fit(student, crops, val, recipe, out, record, save_every, by_name(names, rating_loss))
    parameters = sum(weight.numel() for name, weight in student.named_parameters() if not name.startswith(DISCARDED))
    record_run(out, record, start=origin, recipe=asdict(recipe), parameters=parameters)
    typer.echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train student --data csv=scores.csv --out runs/mine"

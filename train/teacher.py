"""The teacher: a prior and the quality decoder, fine-tuned on human opinion scores (DP-IQA, section 3)."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.loop.memory import memory_advice
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.teachers.schedules import Preset, diffusion_recipe, preset_for, timm_recipe


@memory_advice()
def main(
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run found there goes on.")],
    prior: Annotated[str | None, typer.Option(help="sd14, sd15, sd21, vit-s or any timm backbone.")] = None,
    start: Annotated[Path | None, typer.Option(help="Trained teacher to start from, instead of a prior.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Folder in diffusers' layout (with --start, if it has moved), or a timm .safetensors."),
    ] = None,
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    preset: Annotated[Preset | None, typer.Option(help="Schedule; by default the data set's.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Height and width of the input in pixels.  [512 for a diffusion prior, else 448]")
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the training crops; by default whole frames.")] = None,
    width: Annotated[int | None, typer.Option(min=8, help="Channels in the decoder.  [512, else 128]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch: Annotated[int | None, typer.Option(min=4, help="Pictures of a step, all processes together.")] = None,
    accumulate: Annotated[int, typer.Option(min=1, help="Learn a batch in so many parts.")] = 1,
    lr: Annotated[float | None, typer.Option(min=0)] = None,
    trunk_lr: Annotated[float | None, typer.Option(min=0, help="Share of --lr at which the prior learns.")] = None,
    ema: Annotated[float, typer.Option(min=0, max=1, help="Decay of the averaged weights; 0 keeps none.")] = Recipe.ema,
    seed: Annotated[int, typer.Option(min=0)] = Recipe.seed,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None, typer.Option(help="By default bf16 where the hardware has it.")
    ] = None,
    gradient_checkpointing: Annotated[bool, typer.Option(help="Half the memory for a third more time.")] = False,
    pretrained: Annotated[bool, typer.Option(help="Start a timm prior from its weights.")] = True,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
) -> None:
    """Fine-tune a prior on human opinion scores and keep its best epoch on the validation part."""
    import torch

    from dpiqa.train.data.datasets import parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.loop.checkpoint import load_checkpoint, weights_sha256
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.losses import paper_loss, quality_loss
    from dpiqa.train.loop.processes import processes
    from dpiqa.train.loop.record import record_run
    from dpiqa.train.teachers.model import build_teacher, load_teacher, of_scores
    from dpiqa.train.teachers.priors import RELEASES, VIT_S, TimmPrior

    if start and (prior or size or width):
        raise InputError(f"--start {start} brings its own --prior, --size and --width")
    if not start and not prior:
        raise InputError("what shall the teacher start from: --prior or --start?")
    arch = VIT_S if prior == "vit-s" else str(prior)
    usual = (512, 512) if prior in RELEASES else (448, 128)
    side = load_checkpoint(start, "teacher")[0]["input"]["height"] if start else size or usual[0]
    if (crop or side) > side:
        raise InputError(f"--crop {crop} is larger than --size {side}")
    whole, trained_on = load_parts(data, split, seed)  # before a release is read, which takes a while
    tell = processes().print
    tell(whole)
    torch.manual_seed(seed)
    if start:
        teacher, before = load_teacher(start, weights)
        begun, seen = {"begun": weights_sha256(teacher)}, before["trained_on"]
        origin = f"a teacher of weights {begun['begun'][:12]}"
    else:
        teacher = build_teacher(arch, side, width or usual[1], weights)
        begun, seen, origin = {}, [], teacher.config.get("weights", "random weights")
    if isinstance(teacher.prior, TimmPrior) and pretrained and not start:
        origin = teacher.prior.load_pretrained(weights)
    if crop:
        teacher.prior.require("--crop", crop)
    diffusion = teacher.config["prior"] in RELEASES
    if gradient_checkpointing:
        teacher.prior.checkpoint_gradients()
    asked = {"epochs": epochs, "batch": batch, "lr": lr, "trunk_lr": trunk_lr}
    chosen = preset or preset_for(parse_source(data[0])[0])
    recipe = replace(
        diffusion_recipe(chosen) if diffusion else timm_recipe(chosen),
        crop=crop or side,
        accumulate=accumulate,
        ema=ema,
        seed=seed,
        precision=precision or pick_precision(None),
        **{name: value for name, value in asked.items() if value is not None},
    )
    loss = of_scores(paper_loss if diffusion else quality_loss)
    trained_on = [entry for entry in seen if entry not in trained_on] + trained_on
    about = {"teacher": teacher.config, "input": teacher.input.model_dump(), "trained_on": trained_on,
             "split_seed": seed} | begun  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    frames, val = RatedFrames(whole.train, teacher.input, recipe.crop, seed), RatedFrames(whole.val, teacher.input)
    best = fit(teacher, frames, val, recipe, out, about, save_every, loss)
    parameters = sum(weight.numel() for weight in teacher.parameters())
    record_run(out, about, start=origin, preset=chosen, recipe=asdict(recipe), parameters=parameters)
    tell(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train teacher --prior vit-s --data koniq10k=PATH --out runs/teacher"

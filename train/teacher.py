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
from dpiqa.train.teachers.presets import BACKBONES, PRIORS, RELEASES
from dpiqa.train.teachers.schedules import Preset, diffusion_recipe, preset_for, timm_recipe


@memory_advice()
def main(
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and plots; a run in it is resumed.")],
    prior: Annotated[str | None, typer.Option(help=f"Prior: {PRIORS} or any timm backbone.")] = None,
    start: Annotated[Path | None, typer.Option(help="Trained teacher to start from instead of a prior.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Folder in diffusers' layout (with --start, if it has moved), or a timm .safetensors file."),
    ] = None,
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    preset: Annotated[Preset | None, typer.Option(help="Training schedule; by default the data set's.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Height and width of the input in pixels.  [512 for a diffusion prior, else 448]")
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the training crops; by default whole frames.")] = None,
    width: Annotated[int | None, typer.Option(min=8, help="Channels in the decoder.  [512, else 128]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.")] = None,
    batch: Annotated[int | None, typer.Option(min=4, help="Pictures per step, over all processes.")] = None,
    accumulate: Annotated[int, typer.Option(min=1, help="Number of parts in which to process a batch.")] = 1,
    lr: Annotated[float | None, typer.Option(min=0, help="Learning rate.")] = None,
    trunk_lr: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of the prior as a fraction of --lr.")
    ] = None,
    ema: Annotated[
        float, typer.Option(min=0, max=1, help="Decay of the averaged weights; 0 for no averaging.")
    ] = Recipe.ema,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = Recipe.seed,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option(help="Precision; by default bf16 if the hardware has it, else fp32."),
    ] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option(help="Halves the memory and takes a third more time.")
    ] = False,
    loss: Annotated[
        Literal["paper", "ranked", "quality"] | None,
        typer.Option(
            help="paper: squared error and margin ranking; ranked: large errors count less; quality: correlation too.  "
            "[ranked for a diffusion prior, else quality]"
        ),
    ] = None,
    timestep: Annotated[
        int | None, typer.Option(help="Diffusion prior: the timestep that its U-Net is given.  [1]")
    ] = None,
    zero_adapter: Annotated[
        bool, typer.Option("--zero-adapter", help="Diffusion prior: the image adapter has no effect at first.")
    ] = False,
    pretrained: Annotated[bool, typer.Option(help="Start a timm prior from its pretrained weights.")] = True,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
) -> None:
    """Fine-tune a prior on human opinion scores and keep its best epoch on the validation part."""
    import torch

    from dpiqa.train.data.datasets import parse_source
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.loop.checkpoint import load_checkpoint, state_sha256
    from dpiqa.train.loop.fit import fit, pick_precision
    from dpiqa.train.loop.losses import paper_loss, quality_loss, ranked_loss
    from dpiqa.train.loop.processes import processes
    from dpiqa.train.loop.record import RunRecord, TeacherConfig
    from dpiqa.train.loop.run import record_run
    from dpiqa.train.teachers.model import build_teacher, load_teacher, of_scores
    from dpiqa.train.teachers.priors import TimmPrior

    if start and (prior or size or width or timestep is not None or zero_adapter):
        raise InputError(f"--start {start} brings its own --prior, --size, --width, --timestep and --zero-adapter")
    if not start and not prior:
        raise InputError("the teacher needs something to start from: --prior or --start")
    arch = BACKBONES.get(str(prior), str(prior))
    default_size, default_width = (512, 512) if prior in RELEASES else (448, 128)
    side = load_checkpoint(start, "teacher")[0].input.height if start else size or default_size
    if (crop or side) > side:
        raise InputError(f"--crop {crop} is larger than --size {side}")
    whole, trained_on = load_parts(data, split, seed)  # before the release is read, which takes a while
    echo = processes().print
    echo(whole)
    torch.manual_seed(seed)
    if start:
        teacher, earlier = load_teacher(start, weights)
        trained_on = [entry for entry in earlier.trained_on if entry not in trained_on] + trained_on
        digest = state_sha256(teacher)
        origin = f"a teacher of weights {digest[:12]}"
    else:
        teacher = build_teacher(arch, side, width or default_width, weights, None, timestep, zero_adapter)
        digest, origin = None, teacher.config.get("weights", "random weights")
    if isinstance(teacher.prior, TimmPrior) and pretrained and not start:
        origin = teacher.prior.load_pretrained(weights)
    if crop:
        teacher.prior.require("--crop", crop)
    diffusion = teacher.config["prior"] in RELEASES
    if gradient_checkpointing:
        teacher.prior.checkpoint_gradients()
    overrides = {"epochs": epochs, "batch": batch, "lr": lr, "trunk_lr": trunk_lr}
    chosen = preset or preset_for(parse_source(data[0])[0])
    recipe = replace(
        diffusion_recipe(chosen) if diffusion else timm_recipe(chosen),
        crop=crop or side,
        accumulate=accumulate,
        ema=ema,
        seed=seed,
        precision=precision or pick_precision(None),
        **{name: value for name, value in overrides.items() if value is not None},
    )
    losses = {"paper": paper_loss, "ranked": ranked_loss, "quality": quality_loss}
    chosen_loss = of_scores(losses[loss or ("ranked" if diffusion else "quality")])
    record = RunRecord(teacher=TeacherConfig(**teacher.config), input=teacher.input, trained_on=tuple(trained_on),
                       split_seed=seed, start_sha256=digest, loss=loss)  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    frames, val = RatedFrames(whole.train, teacher.input, recipe.crop, seed), RatedFrames(whole.val, teacher.input)
    best = fit(teacher, frames, val, recipe, out, record, save_every, chosen_loss)
    parameters = sum(weight.numel() for weight in teacher.parameters())
    record_run(out, record, start=origin, preset=chosen, recipe=asdict(recipe), parameters=parameters)
    echo(f"best epoch on validation: {best}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train teacher --prior vit-s --data koniq10k=PATH --out runs/teacher"

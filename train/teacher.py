"""The teacher: a prior and the quality decoder, fine-tuned on human opinion scores (DP-IQA, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor, nn

from runtime.command import run
from runtime.errors import InputError
from runtime.spec import InputSpec

from .checkpoint import Recipe, load_checkpoint, weights_sha256
from .datasets import parse_source
from .decoder import Decoder
from .frames import RatedFrames
from .loop import fit, pick_precision
from .losses import paper_loss, quality_loss
from .memory import memory_advice
from .presets import Preset, diffusion_recipe, preset_for, timm_recipe
from .priors import RELEASES, VIT_S, Prior, TimmPrior
from .processes import processes
from .record import record_run
from .splits import AUTO, DIVISIONS, load_parts


class Teacher(nn.Module):
    """A prior and the quality decoder on its four feature levels."""

    def __init__(self, prior: Prior, size: int, width: int = 512) -> None:
        """Frames of `size` x `size` pixels, `width` channels in the decoder, which is untrained."""
        super().__init__()
        self.config = prior.config | {"size": size, "width": width}
        self.input = InputSpec(height=size, width=size)
        self.prior = prior
        self.decoder = Decoder(prior.channels, width)

    @property
    def trunk(self) -> nn.Module:
        """The part of the prior that is fine-tuned."""
        return self.prior.trunk

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB `[N, H, W, 3]` to scores float32 `[N]` in 0 to 100 and quality maps float32 `[N, 8, 64, 64]`."""
        return self.decoder(self.prior(frames))


def build_teacher(
    prior: str, size: int, width: int, weights: str | None = None, frozen_sha256: str | None = None
) -> Teacher:
    """A teacher before its training: `prior` as in `--prior`; a diffusion prior as released, another one at random.

    `weights` is where the release lies. Raises InputError where its frozen parts are not those of `frozen_sha256`.
    """
    if prior not in RELEASES:
        return Teacher(TimmPrior(prior, size), size, width)
    try:
        from .stable_diffusion import StableDiffusionPrior  # slow to import, and of an extra of its own
    except ImportError as error:
        raise InputError(f"--prior {prior} needs the extra 'teacher' ({error.name} is not installed)") from None
    released = StableDiffusionPrior.from_release(prior, weights or RELEASES[prior], size)
    if frozen_sha256 not in (None, released.config["frozen_sha256"]):
        raise InputError(
            f"{released.config['weights']}: not the VAE and text encoder that the teacher was trained with"
        )
    return Teacher(released, size, width)


def load_teacher(checkpoint: Path, weights: str | None = None) -> tuple[Teacher, dict[str, Any]]:
    """Read a checkpoint of train.teacher: the averaged teacher, ready to score, and what is written about it.

    The frozen parts of a diffusion prior are not in it: they are read from `weights`, by default where the training
    found them. Raises InputError where they are not the same.
    """
    about, state = load_checkpoint(checkpoint, "teacher")
    teacher = build_teacher(**about["teacher"] | ({"weights": weights} if weights else {}))
    try:
        teacher.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{checkpoint}: its weights are of another network than its prior now is ({reason})") from None
    return teacher.eval(), about


def of_scores(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[tuple[Tensor, Tensor], Tensor], Tensor]:
    """A loss on scores, for a model that also gives maps."""
    return lambda outputs, mos: loss(outputs[0], mos)


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

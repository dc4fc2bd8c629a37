"""What the proof trains: the paper's teacher at full size on noise, and one on ViT-S/14 on pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import MODEL, pictures_of, tensor_of
from torch import Tensor

from dpiqa.train.loop.losses import paper_loss, quality_loss
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.students.files import load_packed
from dpiqa.train.teachers.model import Teacher, build_teacher, of_scores
from dpiqa.train.teachers.presets import BACKBONES
from dpiqa.train.teachers.priors import TimmPrior
from dpiqa.train.teachers.schedules import diffusion_recipe, timm_recipe

Rated = tuple[Tensor, Tensor]
Loss = Callable[[tuple[Tensor, Tensor], Tensor], Tensor]


class Endless:
    """Rated pictures, so many in one epoch that it never ends: it would with a validation."""

    epoch, whole = 0, False

    def __init__(self, count: int, read: Callable[[int], Rated]) -> None:
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    def batches(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """See train.loop.Frames."""
        return rng.permutation(self._count)[: self._count // batch * batch].reshape(-1, batch)

    def __getitem__(self, index: int) -> Rated:
        return self._read(index)


def noise(side: int, index: int) -> Rated:
    """A picture of noise and a made-up rating."""
    rng = np.random.default_rng(index)
    frame = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return torch.from_numpy(frame), torch.tensor(rng.uniform(0, 100), dtype=torch.float32)


def repeated(frames: Tensor, ratings: Tensor, index: int) -> Rated:
    """The frames `[N, H, W, 3]` and their ratings `[N]`, over and over."""
    place = index % len(frames)
    return frames[place], ratings[place]


@dataclass(frozen=True)
class Subject:
    """A teacher, what it learns from, and how; `steps` are more than are ever made."""

    teacher: Teacher
    frames: Endless
    recipe: Recipe
    loss: Loss
    steps: int
    facts: dict[str, Any]


def _small(full_size: Any) -> Teacher:
    """The parts of the full-size teacher with few channels, on the meta device."""
    from dpiqa.train.teachers.stable_diffusion import StableDiffusionPrior

    with torch.device("meta"):
        unet = full_size.UNet2DConditionModel(
            **full_size.UNET | {"block_out_channels": [32, 32, 64, 64], "cross_attention_dim": 32, "sample_size": 8}
        )
        vae = full_size.AutoencoderKL(**full_size.VAE | {"block_out_channels": [32] * 4, "sample_size": 64})
        prior = StableDiffusionPrior(unet, vae, torch.empty(495, 32), 64)
        prior.config = {"prior": "sd15"}
        return Teacher(prior, 64, 8)


def diffusion(device: str, tiny: bool) -> Subject:
    """Stable Diffusion 1.5's shape with random weights, batch 16 in four parts, gradient checkpointing."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "train"))
    full_size: Any = import_module("full_size")  # the shape, which the tests have as well
    teacher: Any = (_small(full_size) if tiny else full_size.full_size()).to_empty(device=device)
    for network in (teacher, teacher.prior.vae.net):
        full_size.fill(network)
    teacher.prior.prompts.normal_()
    teacher.prior.checkpoint_gradients()
    recipe, steps, side = replace(diffusion_recipe("koniq10k"), accumulate=4), 40, teacher.input.height
    frames = Endless(steps * recipe.batch, partial(noise, side))
    return Subject(teacher, frames, recipe, of_scores(paper_loss), steps, {"weights": "random"})


def vit(tiny: bool, folder: Path | None, weights: Path | None) -> Subject:
    """`dpiqa train teacher --prior vit-s` on 200 pictures, whose ratings are what the shipped student says of them."""
    side, width, count = (56, 8, 8) if tiny else (448, 128, 200)
    teacher = build_teacher(BACKBONES["vit-s"], side, width)
    assert isinstance(teacher.prior, TimmPrior)
    origin = teacher.prior.load_pretrained(str(weights)) if weights else "random"
    pictures, photographs = pictures_of(folder, count, teacher.input)
    student, record = load_packed(MODEL, None)  # not ONNX Runtime, after which the loader must not fork
    ratings = [student.eval().predict(tensor_of([picture], record.input))[0].score for picture in pictures]
    recipe, steps = timm_recipe("koniq10k"), 10_000
    if tiny:
        recipe = replace(recipe, batch=4)
    rated = (torch.from_numpy(tensor_of(pictures, teacher.input)), torch.tensor(ratings))
    frames = Endless(steps * recipe.batch, partial(repeated, *rated))
    facts = {"weights": origin, "photographs": photographs, "made_up_pictures": count - photographs}
    return Subject(teacher, frames, recipe, of_scores(quality_loss), steps, facts)

"""The teacher: a prior and the quality decoder (DP-IQA, section 3), and its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.teachers.decoder import Decoder
from dpiqa.train.teachers.priors import RELEASES, Prior, TimmPrior


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
        from dpiqa.train.teachers.stable_diffusion import (
            StableDiffusionPrior,  # slow to import, and of an extra of its own
        )
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

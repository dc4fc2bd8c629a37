"""The teacher: a prior and the quality decoder (DP-IQA, section 3), and its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.teachers.decoder import Decoder
from dpiqa.train.teachers.presets import RELEASES
from dpiqa.train.teachers.priors import Prior, TimmPrior


class Teacher(nn.Module):
    """A prior and the quality decoder on its four feature levels."""

    def __init__(self, prior: Prior, size: int, width: int = 512) -> None:
        """Frames of `size` x `size` pixels, `width` channels in the decoder, which is untrained."""
        super().__init__()
        self.config: dict[str, Any] = prior.config | {"size": size, "width": width}
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
    prior: str,
    size: int,
    width: int,
    weights: str | None = None,
    frozen_sha256: str | None = None,
    timestep: int | None = None,
    zero_adapter: bool | None = None,
) -> Teacher:
    """An untrained teacher: `prior` as in `--prior`; a diffusion prior as released, any other with random weights.

    `weights` is the path of the release; for `timestep` and `zero_adapter`, which only a diffusion prior has, see
    StableDiffusionPrior. Raises InputError if the release's frozen parts do not match `frozen_sha256`.
    """
    if prior not in RELEASES:
        if timestep is not None or zero_adapter:
            raise InputError(f"--prior {prior}: only a diffusion prior has --timestep and --zero-adapter")
        return Teacher(TimmPrior(prior, size), size, width)
    try:
        from dpiqa.train.teachers.stable_diffusion import StableDiffusionPrior  # slow to import, and an optional extra
    except ImportError as error:
        raise InputError(f"--prior {prior} needs the extra 'teacher' ({error.name} is not installed)") from None
    released = StableDiffusionPrior.from_release(prior, weights or RELEASES[prior], size, timestep, zero_adapter)
    if frozen_sha256 not in (None, released.config["frozen_sha256"]):
        raise InputError(
            f"{released.config['weights']}: not the VAE and text encoder that the teacher was trained with"
        )
    return Teacher(released, size, width)


def load_teacher(checkpoint: Path, weights: str | None = None) -> tuple[Teacher, RunRecord]:
    """The averaged teacher in a checkpoint of train.teacher, ready to score, and its run record.

    The frozen parts of a diffusion prior are not in it: they are read from `weights`, by default from where training
    found them. Raises InputError if they are not the same.
    """
    record, state = load_checkpoint(checkpoint, "teacher")
    assert record.teacher
    arguments: dict[str, Any] = record.teacher.to_dict() | ({"weights": weights} if weights else {})
    teacher = build_teacher(**arguments)
    try:
        teacher.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{checkpoint}: its weights do not fit the network that its prior is now ({reason})") from None
    return teacher.eval(), record


def of_scores(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[tuple[Tensor, Tensor], Tensor], Tensor]:
    """A loss on scores, for a model that also predicts maps."""
    return lambda outputs, mos: loss(outputs[0], mos)

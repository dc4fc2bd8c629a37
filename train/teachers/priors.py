"""Priors: networks pretrained on other tasks that give a teacher four levels of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.train.loop.memory import is_out_of_memory
from dpiqa.train.teachers.packaged import VIT_INSTALL, packaged_vit
from dpiqa.train.teachers.presets import PRIORS, VIT_S

_LEVELS = 4


class Prior(nn.Module, ABC):
    """The interface of a prior to its teacher.

    `channels` of its four levels; the sides of frames are multiples of `multiple` pixels; `trunk` is the part that is
    fine-tuned; `config` holds the arguments of `build_teacher`.
    """

    channels: list[int]
    multiple: int
    trunk: nn.Module
    config: dict[str, Any]

    @abstractmethod
    def forward(self, frames: Tensor) -> list[Tensor]:
        """Four levels of features, float `[N, C, h, w]` each, of uint8 RGB frames `[N, H, W, 3]`."""

    @abstractmethod
    def checkpoint_gradients(self) -> None:
        """Compute activations a second time in the backward pass instead of keeping them."""

    def require(self, option: str, side: int) -> None:
        """Raise InputError if this prior does not take frames of `side` pixels, the value of `option`."""
        if side % self.multiple:
            raise InputError(f"{option} {side}: this prior needs a multiple of {self.multiple} pixels")


def _create(arch: str, size: int) -> tuple[dict[str, Any], Any]:
    """A backbone for frames of this size, and its options: not every one has a size, or takes any other."""
    for sized in ({"img_size": size, "dynamic_img_size": True}, {"img_size": size}):
        options: dict[str, Any] = {"num_classes": 0} | sized
        try:
            return options, timm.create_model(arch, **options)
        except TypeError:  # it does not know the option
            continue
        except (AssertionError, ValueError, RuntimeError) as error:
            raise InputError(f"--size {size}: {arch} does not take frames of this size ({error})") from None
    return {"num_classes": 0}, timm.create_model(arch, num_classes=0)


class TimmPrior(Prior):
    """Any timm backbone: the last four feature levels of a network that has several, or four evenly spaced blocks.

    The adapters of a diffusion prior do not apply: there is no text to attend to, and no VAE that loses detail.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: str, size: int) -> None:
        """Untrained; frames are `size` x `size` pixels, or any multiple of the patch side if there are patches."""
        super().__init__()
        if not timm.is_model(arch):
            raise InputError(f"--prior {arch}: none of {PRIORS} and no model of timm {timm.__version__}")
        self.arch, self.config = arch, {"prior": arch}
        self.trunk: Any
        self._options, self.trunk = _create(arch, size)
        levels = self.trunk.feature_info
        if len(levels) < _LEVELS or not hasattr(self.trunk, "forward_intermediates"):
            raise InputError(f"--prior {arch}: it does not give four feature levels, choose another")
        # Blocks of one resolution are spread over the depth and share the final norm.
        self._norm = levels[0]["reduction"] == levels[-1]["reduction"]
        self.multiple = levels[0]["reduction"] if self._norm else 1
        chosen = [len(levels) * (n + 1) // _LEVELS - 1 for n in range(_LEVELS)] if self._norm else _LEVELS
        self.indices = self.trunk.prune_intermediate_layers(chosen, prune_norm=not self._norm)
        self.channels = [levels[index]["num_chs"] for index in self.indices]
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.pretrained_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.require("--size", size)

    def require(self, option: str, side: int) -> None:
        """See Prior; some backbones take only the size that they were made for, so one frame is tried."""
        super().require(option, side)
        training = self.training
        try:
            with torch.inference_mode():
                self.eval()(torch.zeros(1, side, side, 3, dtype=torch.uint8))
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
            raise InputError(f"{option} {side}: {self.arch} does not take frames of this size ({reason})") from None
        finally:
            self.train(training)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Four levels of features, float `[N, C, h, w]` each, of uint8 RGB frames `[N, H, W, 3]`."""
        pixels = (frames.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return self.trunk.forward_intermediates(
            pixels, indices=self.indices, norm=self._norm, intermediates_only=True, output_fmt="NCHW"
        )

    def load_pretrained(self, weights: str | None) -> str:
        """Start from `weights` (a `.safetensors` file in timm's names), from the installed package or from timm's hub.

        Positional embeddings are resampled to the prior's size. Raises InputError if no weights can be reached.
        """
        packaged = packaged_vit() if weights is None and self.arch == VIT_S else None
        if packaged:
            state, source = packaged
            self._load(checkpoint_filter_fn(state, self.trunk))
            return source
        if weights is not None and not (weights.endswith(".safetensors") and Path(weights).is_file()):
            raise InputError(f"--weights {weights}: for {self.arch} it must be a .safetensors file in timm's names")
        overlay = {"file": weights} if weights else None
        try:
            loaded = timm.create_model(self.arch, pretrained=True, pretrained_cfg_overlay=overlay, **self._options)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            advice = f"install them with '{VIT_INSTALL}'" if self.arch == VIT_S else "give a file with --weights"
            raise InputError(f"no weights for {self.arch} ({reason}); {advice}") from None
        self._load(loaded.state_dict())
        return weights or f"{self.arch} of timm {timm.__version__}"

    def _load(self, state: dict[str, Tensor]) -> None:
        needed = self.trunk.state_dict()
        self.trunk.load_state_dict({name: value for name, value in state.items() if name in needed})

    def checkpoint_gradients(self) -> None:
        """Compute activations a second time in the backward pass instead of keeping them."""
        self.trunk.set_grad_checkpointing(True)

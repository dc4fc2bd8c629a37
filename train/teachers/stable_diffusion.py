"""Stable Diffusion as a prior: one pass of its denoising U-Net over a noiseless picture (DP-IQA, section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.train.teachers.adapters import Frozen, TextAdapter
from dpiqa.train.teachers.priors import Prior
from dpiqa.train.teachers.released import embed_prompts, find_release, identity, load_part

TIMESTEP = 1
_LEVELS = 4
_STEPS = 1000  # of the noise that Stable Diffusion learned to remove


class StableDiffusionPrior(Prior):
    """Latents of the frozen VAE through the U-Net, conditioned on the prompts and, by an image adapter, on the picture.

    The features are the outputs of the four up-sampling blocks: 1280, 1280, 640 and 320 channels in SD 1.5.
    """

    prompts: Tensor

    def __init__(
        self, unet: Any, vae: Any, prompts: Tensor, size: int, timestep: int = TIMESTEP, zero_adapter: bool = False
    ) -> None:
        """From diffusers' models and the prompts' embeddings `[495, width]`; frames are `size` x `size` pixels.

        `timestep` is what the U-Net is told of the latents' noise. With `zero_adapter`, every level of the image
        adapter ends with a convolution that is zero at first (Zhang et al. 2023, ControlNet), so that training begins
        from the prior's own features.
        """
        super().__init__()
        down = 2 ** (len(vae.config.block_out_channels) - 1)
        self.multiple = down * 2 ** (len(unet.config.block_out_channels) - 1)
        self.require("--size", size)
        width = unet.config.cross_attention_dim
        if prompts.shape[1] != width:
            raise InputError(f"the text encoder gives {prompts.shape[1]} numbers, the U-Net expects {width}")
        self.vae = Frozen(vae)
        self.trunk = unet
        for unused in (unet.conv_norm_out, unet.conv_out):  # after the last up-sampling block
            unused.requires_grad_(False)
        channels = list(unet.config.block_out_channels)
        if not 0 <= timestep < _STEPS:
            raise InputError(f"--timestep {timestep}: expected 0 to {_STEPS - 1}")
        self.timestep = timestep
        self.image_adapter = T2IAdapter(3, channels, downscale_factor=down, adapter_type="full_adapter")
        self.adapter_ends = nn.ModuleList(_zero_convolution(count) for count in channels) if zero_adapter else None
        self.text_adapter = TextAdapter(width)
        self.register_buffer("prompts", prompts)
        self.channels = channels[::-1]

    @classmethod
    def from_release(
        cls, name: str, weights: str, size: int, timestep: int | None = None, zero_adapter: bool | None = None
    ) -> StableDiffusionPrior:
        """From a folder in the layout of diffusers, or a name on the hub; `name` as in `--prior`."""
        folder = find_release(weights)
        place = str(folder.resolve()) if Path(weights).is_dir() else weights  # valid from any working folder
        key = identity(folder)
        vae: Any = load_part(AutoencoderKL, folder / "vae", torch_dtype=torch.float32)
        unet: Any = load_part(UNet2DConditionModel, folder / "unet", torch_dtype=torch.float32)
        _require_text_to_image(unet.config, vae, folder / "unet")
        chosen: dict[str, Any] = {"timestep": timestep} if timestep is not None else {}
        chosen |= {"zero_adapter": True} if zero_adapter else {}
        prior = cls(unet, vae, embed_prompts(folder, key), size, **chosen)
        prior.config = {"prior": name, "weights": place, "frozen_sha256": key, **chosen}
        return prior

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Four levels of features, float `[N, C, h, w]` each, of uint8 RGB frames `[N, H, W, 3]`.

        The latents are the posterior's mean in evaluation, a sample of it in training.
        """
        unet: Any = self.trunk
        pixels = (frames.permute(0, 3, 1, 2).float() / 127.5 - 1).to(unet.dtype)
        vae = self.vae.net
        with torch.no_grad():
            posterior = vae.encode(pixels).latent_dist
            latents = vae.config.scaling_factor * (posterior.sample() if self.training else posterior.mode())
        residuals = list(self.image_adapter(pixels))
        if self.adapter_ends:
            residuals = [end(residual) for end, residual in zip(self.adapter_ends, residuals, strict=True)]
        with _outputs_of(unet.up_blocks) as levels:
            unet(
                latents,
                self.timestep,
                self.text_adapter(self.prompts).expand(len(frames), -1, -1),
                down_intrablock_additional_residuals=residuals,
            )
        return levels

    def checkpoint_gradients(self) -> None:
        """Compute the U-Net's activations a second time in the backward pass instead of keeping them."""
        unet: Any = self.trunk
        unet.enable_gradient_checkpointing()


def _require_text_to_image(config: Any, vae: Any, folder: Path) -> None:
    """Raise InputError for models that also need a mask, depth, a picture, a class or a size, or lack four levels."""
    latents = vae.config.latent_channels
    if config.in_channels != latents:
        raise InputError(f"{folder}: takes {config.in_channels} channels, not the VAE's {latents}: not text-to-image")
    if len(config.up_block_types) != _LEVELS or config.class_embed_type or config.addition_embed_type:
        raise InputError(f"{folder}: not a U-Net like Stable Diffusion 1 and 2 have, with four up-sampling blocks")


def _zero_convolution(channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, channels, 1)
    for weight in convolution.parameters():
        nn.init.zeros_(weight)
    return convolution


@contextmanager
def _outputs_of(blocks: nn.ModuleList) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []

    def keep(_block: nn.Module, _inputs: Any, output: Any) -> None:
        outputs.append(output)

    hooks = [block.register_forward_hook(keep) for block in blocks]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()

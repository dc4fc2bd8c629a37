"""The teacher at its full size, from the configurations that Stable Diffusion 1.5 was published with.

Run as a program, it makes one pass in the precision that the machine has, bfloat16 or FP32, and prints the outputs, the
seconds and the peak memory as JSON.
"""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from dpiqa.train.loop.fit import pick_precision
from dpiqa.train.teachers.model import Teacher
from dpiqa.train.teachers.stable_diffusion import StableDiffusionPrior

UNET: dict[str, Any] = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
VAE: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT: dict[str, Any] = {
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "projection_dim": 768,
    "vocab_size": 49408,
}
SIDE, WIDTH = 512, 512


def full_size() -> Teacher:
    """The paper's teacher on the meta device: shapes without values."""
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
        prior = StableDiffusionPrior(unet, vae, torch.empty(495, TEXT["hidden_size"]), SIDE)
        prior.config = {"prior": "sd15"}
        return Teacher(prior, SIDE, WIDTH)


def fill(model: nn.Module) -> None:
    """Random weights of a usual size; one draw for all, since a billion take minutes."""
    drawn = torch.randn(1_000_003, device=next(model.parameters()).device)
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            weight.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            copies = -(-weight.numel() // len(drawn))
            values = (drawn * weight[0].numel() ** -0.5).to(weight.dtype)
            weight.data.view(-1).copy_(values.repeat(copies)[: weight.numel()])


@torch.inference_mode()
def main() -> None:
    began = time.perf_counter()
    torch.manual_seed(0)
    precision = torch.bfloat16 if pick_precision(None) == "bf16" else torch.float32  # never emulated
    teacher: Any = full_size().to(precision).to_empty(device="cpu").eval()
    for part in (teacher, teacher.prior.vae.net):
        fill(part)
    teacher.prior.prompts.normal_()
    levels: list[Any] = []
    teacher.decoder.register_forward_pre_hook(lambda _, args: levels.extend(args[0]))
    scores, maps = teacher(torch.randint(0, 256, (1, SIDE, SIDE, 3), dtype=torch.uint8))
    results = {
        "levels": [list(level.shape) for level in levels],
        "types": sorted({str(level.dtype) for level in levels}),
        "finite": bool(maps.isfinite().all()),
        "score": scores.item(),
        "map": list(maps.shape),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()

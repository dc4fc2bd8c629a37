"""A Stable Diffusion of some ten thousand parameters in the layout of a real release, written by the real libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.utils.logging import disable_progress_bar

_SD15: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (4, 8, 12, 12),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
    "norm_num_groups": 2,
}
# What SD 2.1 has otherwise: a list of heads, linear projections and a wider text encoder.
_SD21 = _SD15 | {"attention_head_dim": (1, 2, 3, 3), "use_linear_projection": True, "cross_attention_dim": 16}
_UNETS = {"sd15": _SD15, "sd21": _SD21}
_VAE: dict[str, Any] = {
    "block_out_channels": (4, 4, 4, 4),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 2,
}
_LOG_VARIANCE = -18.0  # latents of a released VAE hardly vary either


def write_release(folder: Path, like: str = "sd15") -> Path:
    """Write unet, vae, text_encoder and tokenizer to `folder`, with weights drawn from a fixed seed; return it."""
    disable_progress_bar()
    unet = _UNETS[like]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        UNet2DConditionModel(**unet).save_pretrained(folder / "unet")
        vae: Any = AutoencoderKL(**_VAE)
        vae.quant_conv.weight.data[4:] = 0
        vae.quant_conv.bias.data[4:] = _LOG_VARIANCE
        vae.save_pretrained(folder / "vae")
        letters = [chr(code) for code in range(33, 127)]
        words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
        text = CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=unet["cross_attention_dim"],
            intermediate_size=2 * unet["cross_attention_dim"],
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=128,
            bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1,
        )
        CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    return folder

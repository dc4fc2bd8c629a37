"""Named priors."""

from __future__ import annotations

VIT_S = "vit_small_patch14_dinov2"
# Models of timm. SigLIP 2 is Apache-2.0, DINOv3 has a licence of its own.
BACKBONES = {
    "vit-s": VIT_S,
    "siglip2-b": "vit_base_patch16_siglip_512.v2_webli",
    "dinov3-s": "vit_small_patch16_dinov3.lvd1689m",
}
# Names on the hub; a folder in `--weights` comes first.
RELEASES = {
    "sd14": "CompVis/stable-diffusion-v1-4",
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd21": "stabilityai/stable-diffusion-2-1-base",
    "sd-turbo": "stabilityai/sd-turbo",
}
PRIORS = ", ".join([*RELEASES, *BACKBONES])

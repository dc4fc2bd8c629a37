"""Training schedules of the teacher: for a diffusion prior, Adam at 1e-5 with steps (DP-IQA, section 4.1)."""

from __future__ import annotations

from typing import Literal, cast

from dpiqa.train.loop.recipe import Recipe

Preset = Literal["clive", "koniq10k", "livefb", "spaq", "biq2021"]
# Epochs of a diffusion prior and of any other. The paper does not state its numbers of epochs and steps: these give
# every data set some ten thousand steps with a diffusion prior and some thousand with a smaller one.
_EPOCHS: dict[Preset, tuple[int, int]] = {
    "clive": (50, 20),
    "koniq10k": (30, 10),
    "livefb": (10, 4),
    "spaq": (30, 10),
    "biq2021": (30, 10),
}


def preset_for(data: str) -> Preset:
    """The preset of a data set; koniq10k's if it has none."""
    return cast("Preset", data) if data in _EPOCHS else "koniq10k"


def diffusion_recipe(preset: Preset) -> Recipe:
    """Batch 16, rate 1e-5 for all weights, divided by five after half and again after three quarters of the epochs."""
    epochs, _ = _EPOCHS[preset]
    return Recipe(
        epochs=epochs,
        batch=16,
        lr=1e-5,
        trunk_lr=1.0,
        weight_decay=0.0,
        milestones=(0.5, 0.75),
        decay=0.2,
    )


def timm_recipe(preset: Preset) -> Recipe:
    """Batch 16, warm-up and cosine from 2e-4, a tenth of it for the trunk."""
    _, epochs = _EPOCHS[preset]
    return Recipe(epochs=epochs, batch=16, lr=2e-4, trunk_lr=0.1, weight_decay=0.05)

"""Backbones of timm as priors: four levels from each kind, and sizes that they do not take are refused in one line."""

from __future__ import annotations

import pytest
import torch

from dpiqa.errors import InputError
from dpiqa.train.teachers.priors import TimmPrior

SWIN = "swin_tiny_patch4_window7_224"


@pytest.mark.parametrize(
    ("arch", "size", "sides"),
    [
        ("test_efficientnet", 96, [24, 12, 6, 3]),
        ("test_vit", 64, [4, 4, 4, 4]),
        (SWIN, 112, [28, 14, 7, 4]),
        ("beit_base_patch16_224", 64, [4, 4, 4, 4]),
    ],
)
def test_backbones_of_every_kind_give_four_levels(arch: str, size: int, sides: list[int]) -> None:
    prior = TimmPrior(arch, size).eval()
    with torch.inference_mode():
        levels = prior(torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8))
    assert [level.shape[1] for level in levels] == prior.channels
    assert [level.shape[2] for level in levels] == sides


@pytest.mark.parametrize(("arch", "size", "crop"), [("beit_base_patch16_224", 64, 32), ("test_vit", 64, 40)])
def test_crops_of_a_size_that_a_backbone_does_not_take_are_refused(arch: str, size: int, crop: int) -> None:
    with pytest.raises(InputError, match=f"--crop {crop}: "):
        TimmPrior(arch, size).require("--crop", crop)


def test_a_size_that_a_backbone_does_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="--size 50: "):
        TimmPrior("test_vit", 50)

"""The quality decoder: four feature levels to a quality map, the map to a score (DP-IQA, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MAP_CHANNELS, MAP_SIDE = 8, 64


class SqueezeExcite(nn.Module):
    """Weigh every channel by its mean over the whole picture."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.gate = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, level: Tensor) -> Tensor:
        """Float `[N, C, H, W]` to the same."""
        return level * self.gate(level.mean((2, 3)))[:, :, None, None]


class Decoder(nn.Module):
    """Bring each level to `width` channels and 64x64, fuse them, and reduce them to an 8x64x64 quality map.

    With the paper's width of 512 and the levels of Stable Diffusion it has 43M parameters, 16.8M of them in the map's
    regression.
    """

    def __init__(self, channels: list[int], width: int = 512) -> None:
        """`channels` of the feature levels, in any order of resolution."""
        super().__init__()

        def reduce(inputs: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), SqueezeExcite(width))

        self.levels = nn.ModuleList(reduce(inputs) for inputs in channels)
        self.fuse = reduce(width * len(channels))
        self.to_map = nn.Sequential()
        inputs = width
        for outputs in (width // 4, max(width // 16, MAP_CHANNELS), MAP_CHANNELS):
            self.to_map.extend([nn.Conv2d(inputs, outputs, 1), nn.ReLU()])
            inputs = outputs
        score = nn.Linear(width, 1)
        nn.init.normal_(score.weight, std=0.01)
        nn.init.zeros_(score.bias)
        flat = nn.Linear(MAP_CHANNELS * MAP_SIDE**2, width)
        self.to_score = nn.Sequential(flat, nn.ReLU(), nn.Linear(width, width), nn.ReLU(), score)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Levels `[N, C, h, w]` each to scores float32 `[N]` in 0 to 100 and quality maps float32 `[N, 8, 64, 64]`."""
        same = [
            functional.interpolate(reduce(level), (MAP_SIDE, MAP_SIDE), mode="bicubic", align_corners=False)
            for reduce, level in zip(self.levels, levels, strict=True)
        ]
        quality = self.to_map(self.fuse(torch.cat(same, dim=1)))
        score = self.to_score(quality.flatten(1)).float().squeeze(1)
        return 100 * torch.sigmoid(score), quality.float()

"""Layers between a frozen part of a prior and a tuned one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class TextAdapter(nn.Module):
    """Shift text embeddings slightly: a parallel two-layer perceptron, scaled per channel by gamma (section 3.2)."""

    def __init__(self, width: int = 768) -> None:
        super().__init__()
        self.shift = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.gamma = nn.Parameter(torch.full((width,), 1e-4))

    def forward(self, tokens: Tensor) -> Tensor:
        """Float `[..., width]` to the same."""
        return tokens + self.gamma * self.shift(tokens)


class Frozen(nn.Module):
    """A network that stays as it was released: it moves with its owner, and nothing else changes it.

    It has no parameters to optimise or average, is shared by copies of its owner, and is not stored in checkpoints.
    """

    net: Any

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.__dict__["net"] = net.eval().requires_grad_(False)  # past Module's registry

    def _apply(self, fn: Any, recurse: bool = True) -> Frozen:
        self.net._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        return self

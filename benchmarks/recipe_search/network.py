"""The student as the search trains it: train.student_model's, with other heads and style mixing where asked for."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from dpiqa.train.students.model import Student, deviations, means

from .recipe import VIT, Recipe

_MIXED_STAGES = 2  # after the stem and so many stages styles are exchanged


class CountedDropout(nn.Module):
    """Dropout that draws from a counter on the device instead of PyTorch's generator.

    Replays of one captured graph then drop other features each time, whatever runs beside it.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.key: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        """`features` with a share of them zero, the others scaled, while training and with a `key` (int64 `[]`)."""
        if not self.training or self.share == 0 or self.key is None:
            return features
        place = torch.arange(features.numel(), device=features.device).view(features.shape)
        mixed = (place + self.key * 1_048_583) * -7046029254386353131  # 2**64 by the golden ratio
        mixed = (mixed ^ (mixed >> 31)) * -4658895280553007687
        mixed = (mixed ^ (mixed >> 29)) & 0xFFFFFF
        kept = (mixed.float() / 2**24 >= self.share).to(features.dtype)
        return features * kept / (1 - self.share)


class Network(Student):
    """A Student whose state dict, with the head `mlp`, loads into train.student_model.Student."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe.arch, dropout=recipe.dropout, fixed_norms=recipe.fixed_norms)
        _rebuild_head(self, recipe)
        self.channels_last = True
        self.style: tuple[Tensor, Tensor] | None = None
        if recipe.mixstyle:
            for stage in (self.trunk.bn1, *self.trunk.blocks[:_MIXED_STAGES]):
                stage.register_forward_hook(self._restyle)

    def forward_features(self, frames: Tensor) -> list[Tensor]:
        """See Student.forward_features; frames may be float too."""
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        if not self.channels_last:
            pixels = pixels.contiguous()
        top, levels = self.trunk.forward_intermediates(pixels, indices=4)
        return [*levels, top]

    def forward_heads(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """The score alone."""
        return _score(self, levels)

    def _restyle(self, _: nn.Module, __: Any, features: Tensor) -> Tensor | None:
        """Give each picture's channels a mean and deviation between its own and its partner's."""
        if self.style is None or not self.training:
            return None
        partner, keep = self.style
        values = features.float()
        mean = values.mean((2, 3), keepdim=True)
        spread = ((values * values).mean((2, 3), keepdim=True) - mean * mean).clamp_min(1e-6).sqrt()
        keep = keep[:, None, None, None]
        own_mean, own_spread = mean.detach(), spread.detach()
        new_mean = keep * own_mean + (1 - keep) * own_mean.index_select(0, partner)
        new_spread = keep * own_spread + (1 - keep) * own_spread.index_select(0, partner)
        return ((values - own_mean) / own_spread * new_spread + new_mean).to(features.dtype)


class VitNetwork(nn.Module):
    """A ViT-S/14 with a student's head on the means of four of its blocks: an upper mark and a teacher."""

    mean: Tensor
    std: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.trunk: Any = timm.create_model(VIT, num_classes=0, img_size=recipe.frame)
        width = self.trunk.num_features
        regress = nn.Linear(256, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        self.head: Any = nn.Sequential(nn.Dropout(recipe.dropout), nn.Linear(4 * width, 256), nn.ReLU(), regress)
        _rebuild_head(self, recipe)
        self.channels_last = True
        self.style: tuple[Tensor, Tensor] | None = None
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.pretrained_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Scores float32 `[N]` of frames `[N, H, W, 3]`."""
        return _score(self, self.forward_features(frames))[0]

    def forward_features(self, frames: Tensor) -> list[Tensor]:
        """Four blocks' features `[N, C, h, w]`."""
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        return self.trunk.forward_intermediates(
            pixels, indices=[2, 5, 8, 11], norm=True, intermediates_only=True, output_fmt="NCHW"
        )

    def forward_heads(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """The score alone."""
        return _score(self, levels)


def build(recipe: Recipe, weights: dict[str, dict[str, Tensor]]) -> Network | VitNetwork:
    """The network of a recipe on the CPU, its trunk from ImageNet; heads start alike, lest averages be of unlike ones.

    A trunk that is not among the weights starts at random.
    """
    torch.manual_seed(0)
    network = VitNetwork(recipe) if recipe.arch == VIT else Network(recipe)
    if pretrained := weights.get(recipe.arch):
        state = {name: value.float() if value.is_floating_point() else value for name, value in pretrained.items()}
        if recipe.arch == VIT:
            from timm.models.vision_transformer import checkpoint_filter_fn

            state = dict(checkpoint_filter_fn(state, network.trunk))
            needed = network.trunk.state_dict()
            state = {name: value for name, value in state.items() if name in needed}
        network.trunk.load_state_dict(state)
    return network


def _rebuild_head(network: Any, recipe: Recipe) -> None:
    """Put the recipe's head in place of the student's own."""
    width = network.head[1].in_features
    if recipe.head == "linear":
        regress = nn.Linear(width, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        network.head = nn.Sequential(CountedDropout(recipe.dropout), regress)
    elif recipe.head == "deviations":
        network.head[1] = nn.Linear(2 * width, network.head[1].out_features)
    elif recipe.head == "attention":
        network.attend = nn.Conv2d(network.trunk.num_features, 1, 1)
        nn.init.zeros_(network.attend.weight)
        nn.init.constant_(network.attend.get_parameter("bias"), 0.0)
    elif recipe.head != "mlp":
        raise ValueError(f"unknown head '{recipe.head}'")
    network.head[0] = CountedDropout(recipe.dropout)
    network.head_kind = recipe.head


def _score(network: Any, levels: list[Tensor]) -> tuple[Tensor, ...]:
    pooled = means(levels)
    if network.head_kind == "deviations":
        pooled = torch.cat([pooled, deviations(levels).to(pooled.dtype)], dim=1)
    elif network.head_kind == "attention":
        top = levels[-1]
        place = network.attend(top).float().flatten(1).softmax(1).to(top.dtype)
        attended = (top.flatten(2) * place[:, None]).sum(2)
        pooled = torch.cat([pooled[:, : -attended.shape[1]], attended.to(pooled.dtype)], dim=1)
    return (100 * torch.sigmoid(network.head(pooled).float().squeeze(1)),)

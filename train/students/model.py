"""The student: a small convolutional network that turns uint8 frames into quality scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpiqa.errors import InputError
from dpiqa.runtime.prediction import Prediction
from dpiqa.train.students.imagenet import load_imagenet

DISCARDED = ("projection.", "offsets")  # weights that only training needs; a student is loaded without them
_CAUSE_WIDTH, _MAP_WIDTH = 128, 16
_MIN_VARIANCE = 1e-6  # a flat channel has no gradient
_MAP_LEVEL = 1  # index of the feature level at an eighth of the frame's size


class Student(nn.Module):
    """A timm trunk, its feature levels averaged over the picture, and a two-layer head.

    Low levels carry noise and blur, high levels what the picture shows; averaging each over the picture keeps the head
    small (the paper's flattened decoder, section 3.3, spends 16.8M parameters there). Optionally the head reads each
    channel's deviation beside its average, the student also names causes, from both, and it predicts a quality map.
    `outputs` are the names of the outputs, in order, `features` is the number of averages.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        arch: str = "tf_efficientnet_lite0",
        hidden: int = 256,
        dropout: float = 0.1,
        causes: Sequence[str] = (),
        map: bool = False,
        fixed_norms: bool = False,
        deviations: bool = False,
    ) -> None:
        """Build an untrained student; `arch` is any timm trunk with at least four feature levels.

        `causes` are their names in the contract's order. With `fixed_norms`, batch normalisation uses its stored
        statistics even in training. With `deviations`, the score too reads the deviations of the features.
        """
        super().__init__()
        if not timm.is_model(arch):
            raise InputError(f"{arch}: no trunk of timm {version('timm')}")
        self.causes = tuple(causes)
        self.outputs = ("score", *(["causes"] if causes else []), *(["map"] if map else []))
        self.frozen: tuple[nn.Module, ...] = ()
        self.config: dict[str, Any] = {"arch": arch, "hidden": hidden, "dropout": dropout}
        self.config |= ({"causes": list(causes)} if causes else {}) | ({"map": True} if map else {})
        self.config |= {"fixed_norms": True} if fixed_norms else {}
        self.config |= {"deviations": True} if deviations else {}
        self.trunk: Any = timm.create_model(arch, num_classes=0, global_pool="")
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        regress = nn.Linear(hidden, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        channels.append(self.trunk.num_features)
        self.features = sum(channels)
        pooled = nn.Linear((2 if deviations else 1) * self.features, hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), pooled, nn.ReLU(), regress)
        if causes:
            strengths = nn.Linear(_CAUSE_WIDTH, len(causes))
            nn.init.constant_(strengths.bias, -2.0)  # most causes are absent from most pictures
            self.cause_head = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(2 * sum(channels), _CAUSE_WIDTH), nn.ReLU(), strengths
            )
        if map:
            self.map_levels = nn.ModuleList(nn.Conv2d(count, _MAP_WIDTH, 1) for count in channels)
            self.map_head = nn.Sequential(nn.ReLU(), nn.Conv2d(_MAP_WIDTH, 1, 1))
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The outputs for uint8 RGB frames `[N, H, W, 3]`; a tuple if there are more than the score.

        Score float32 `[N]` in 0 to 100, causes `[N, K]` in 0 to 1, map `[N, H / 8, W / 8]` in 0 to 100.
        """
        outputs = self.forward_heads(self.forward_features(frames))
        return outputs[0] if self.outputs == ("score",) else outputs

    def outputs_by_name(self, frames: Tensor) -> dict[str, Tensor]:
        """All outputs by name for uint8 RGB frames `[N, H, W, 3]`."""
        return dict(zip(self.outputs, self.forward_heads(self.forward_features(frames)), strict=True))

    @torch.inference_mode()
    def predict(self, frames: np.ndarray) -> list[Prediction]:
        """One prediction for each of the uint8 RGB frames `[N, H, W, 3]`."""
        return predictions(self.outputs_by_name(torch.from_numpy(frames)), self.causes)

    def forward_features(self, frames: Tensor) -> list[Tensor]:
        """The trunk's last four feature levels `[N, C, h, w]`, finest first, and its final features."""
        # The cast comes first because TensorRT takes uint8 into nothing else.
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        top, levels = self.trunk.forward_intermediates(pixels, indices=4)
        return [*levels, top]

    def forward_heads(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """All outputs, float32, from the features of `forward_features`."""
        averages = pooled = means(levels)
        if "deviations" in self.config or "causes" in self.outputs:
            pooled = torch.cat([averages, deviations(levels)], dim=1)
        read = pooled if "deviations" in self.config else averages
        outputs = [100 * torch.sigmoid(self.head(read).float().squeeze(1))]
        if "causes" in self.outputs:
            outputs.append(torch.sigmoid(self.cause_head(pooled).float()))
        if "map" in self.outputs:
            outputs.append(self.forward_map(levels))
        return tuple(outputs)

    def forward_map(self, levels: list[Tensor]) -> Tensor:
        """The quality map `[N, h, w]`: all levels at one size, projected and summed, then a second layer.

        A flat patch is sky or out of focus: only fine and coarse levels together distinguish the two.
        """
        size = levels[_MAP_LEVEL].shape[2:]
        projected = [_resize(project(level), size) for project, level in zip(self.map_levels, levels, strict=True)]
        return 100 * torch.sigmoid(self.map_head(sum(projected[1:], projected[0])).float().squeeze(1))

    def freeze(self, *parts: nn.Module) -> None:
        """Keep these parts unchanged in training, including their batch statistics."""
        self.frozen = parts
        for part in parts:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """See nn.Module.train; frozen and fixed parts stay in evaluation mode."""
        super().train(mode)
        fixed = self.trunk.modules() if "fixed_norms" in self.config else ()
        for part in (*self.frozen, *(part for part in fixed if isinstance(part, nn.BatchNorm2d))):
            part.eval()
        return self

    def load_imagenet(self) -> str:
        """Start the trunk from ImageNet weights, and return where they come from; InputError if there are none."""
        return load_imagenet(self.trunk, self.config["arch"])


def predictions(outputs: Mapping[str, Tensor], causes: tuple[str, ...]) -> list[Prediction]:
    """One prediction for each frame, from a student's outputs by name; `causes` are the names of its causes."""
    values = {name: value.float().cpu().numpy() for name, value in outputs.items()}
    strengths, maps = values.get("causes"), values.get("map")
    return [
        Prediction(
            float(score),
            causes,
            None if strengths is None else strengths[row],
            None if maps is None else maps[row],
        )
        for row, score in enumerate(values["score"])
    ]


def means(levels: list[Tensor]) -> Tensor:
    """The mean over the picture of every channel of every level, `[N, F]`."""
    return torch.cat([level.mean((2, 3)) for level in levels], dim=1)


def deviations(levels: list[Tensor]) -> Tensor:
    """The standard deviation over the picture of every channel of every level, `[N, F]`."""
    return torch.cat([_deviation(level.float()) for level in levels], dim=1)


def _deviation(level: Tensor) -> Tensor:
    return ((level * level).mean((2, 3)) - level.mean((2, 3)) ** 2).clamp_min(_MIN_VARIANCE).sqrt()


def _resize(level: Tensor, size: torch.Size) -> Tensor:
    """A feature level, bilinearly at another size."""
    # Plain numbers, also where the graph is traced.
    target, own = [int(side) for side in size], [int(side) for side in level.shape[2:]]
    if target == own:
        return level
    factors = [there / here for there, here in zip(target, own, strict=True)]
    if all(factor == 0.5 or factor.is_integer() for factor in factors):
        # Factors stay true when the exported graph is given another input size.
        return functional.interpolate(level, scale_factor=factors, mode="bilinear")
    return functional.interpolate(level, target, mode="bilinear")

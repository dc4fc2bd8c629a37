"""All numbers that a training run depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Recipe:
    """All numbers that a training run depends on; a resumed run must use the same ones.

    `batch` counts the pictures of one step over all processes and all its `accumulate` parts. `trunk_lr` is the
    fraction of `lr` at which the pretrained trunk learns. With `milestones` (fractions of the run) the rate is
    multiplied by `decay` at each; without, it warms up and then falls along a cosine. `ema` 0 keeps no averaged
    weights. `precision` is fp32, bf16 or fp16. The last `whole` (a fraction) of all steps take whole frames, not crops.
    """

    epochs: int = 2
    batch: int = 32
    crop: int = 256
    lr: float = 1e-3
    trunk_lr: float = 0.2
    weight_decay: float = 1e-2
    warmup: float = 0.05
    ema: float = 0.998
    clip: float = 5.0
    seed: int = 0
    precision: str = "fp32"
    accumulate: int = 1
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    whole: float = 0.0


@dataclass(frozen=True)
class HeadRecipe:
    """All numbers that the training of the cause and map heads depends on.

    The heads learn from `pictures` distorted pictures, a fraction `share` of each batch; the rest of the batch is rated
    and teaches the level of the map. The causes learn for `epochs` from stored features, in batches of `cause_batch`.
    Both rates fall to zero along a cosine.
    """

    pictures: int = 24_000
    share: float = 0.8
    batch: int = 32
    epochs: int = 20
    cause_batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0


@dataclass(frozen=True)
class SoupRecipe:
    """All numbers that an average of runs depends on.

    The trunk is moved a share `imagenet` of the way to its ImageNet weights; batch normalisation is estimated on crops
    of `pictures` training pictures.
    """

    imagenet: float = 0.0
    pictures: int = 1024
    crop: int = Recipe.crop
    batch: int = 32


@dataclass(frozen=True)
class DistortionWeights:
    """Weights of the losses on distorted pictures; a student has no output whose weight is 0."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    order: float = 1.0
    causes: float = 1.0
    map: float = 1.0


@dataclass(frozen=True)
class DistillationWeights:
    """Weights of the distillation losses; a loss of weight 0 is left out."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    score: float = 1.0
    teacher: float = 1.0
    map: float = 1.0
    ranking: float = 1.0

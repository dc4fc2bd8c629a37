"""All numbers that a training run depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """All numbers that a training run depends on; a resumed run must use the same ones.

    `batch` counts the pictures of one step over all processes and all `accumulate` parts of it. `trunk_lr` is the share
    of `lr` at which the pretrained trunk learns. With `milestones` (shares of the run) the rate is multiplied by
    `decay` at each; without, it warms up and falls along a cosine. `ema` 0 keeps no averaged weights. `precision` is
    fp32, bf16 or fp16.
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


@dataclass(frozen=True)
class HeadRecipe:
    """All numbers that the training of heads depends on.

    `pictures` made ones are looked at, `share` of every batch; the rest of a batch is rated and tells the map its
    level. The causes learn `epochs` from what was seen, in batches of `cause_batch`. Both rates fall to nothing along a
    cosine.
    """

    pictures: int = 24_000
    share: float = 0.8
    batch: int = 32
    epochs: int = 20
    cause_batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0

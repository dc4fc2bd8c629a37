"""Losses on distorted pictures: the order of their scores, their causes, and their place in the quality map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dpiqa.train.distortions.kinds.base import LEVELS
from dpiqa.train.loop.recipe import DistortionWeights

# Points of 100 that the worst distortion must cost. A step from one level to the next, a fifth of it, is visible.
SCORE_MARGIN = 25.0
MAP_MARGIN = 30.0
_UNIT = 10.0  # of errors, as in loop/losses.py
_VISIBLE = 1.0  # mean change of a cell, in levels of 255
_WHOLE = 0.25  # a distortion of this fraction of the frame counts in full
_EPSILON = 1e-6


@dataclass(frozen=True)
class MixedLoss:
    """The loss of rated and of distorted items (see DistortedFrames), which may share a batch.

    `names` are those of the model's outputs, in order; `rated` takes a dict of outputs and the targets of rated items.
    """

    names: tuple[str, ...]
    rated: Callable[..., Tensor]
    weights: DistortionWeights

    def __call__(self, outputs: Tensor | tuple[Tensor, ...], *targets: Tensor) -> Tensor:
        """The weighted sum over a batch."""
        columns = outputs if isinstance(outputs, tuple) else (outputs,)
        by_name = dict(zip(self.names, columns, strict=True))
        *ratings, group, level, cause, changed = targets
        is_rated, is_distorted = group < 0, group >= 0
        total = torch.stack([0 * output.sum() for output in columns]).sum()  # every weight takes part
        if is_rated.any():
            own = {name: output[is_rated] for name, output in by_name.items()}
            total = total + self.rated(own, *(target[is_rated] for target in ratings))
            if "map" in own:
                total = total + self.weights.map * map_level_loss(own["map"], ratings[0][is_rated])
        if not is_distorted.any():
            return total
        own = {name: output[is_distorted] for name, output in by_name.items()}
        group, level, cause, changed = (target[is_distorted] for target in (group, level, cause, changed))
        severities = severity(level, changed)
        if self.weights.order:
            total = total + self.weights.order * order_loss(own["score"], group, severities)
        if "causes" in own:
            total = total + self.weights.causes * cause_loss(own["causes"], cause, severities)
        if "map" in own:
            total = total + self.weights.map * map_place_loss(own["map"], group, level, changed)
        return total


def severity(level: Tensor, changed: Tensor) -> Tensor:
    """The severity of each item `[N]`, 0 to 1: its level, less if under a quarter of the cells visibly changed."""
    visible = (changed > _VISIBLE).float().mean((1, 2))
    return level / LEVELS[-1] * (visible / _WHOLE).clamp(max=1)


def order_loss(score: Tensor, group: Tensor, severities: Tensor) -> Tensor:
    """Within a group the worse item must score lower, by SCORE_MARGIN times the difference in severity."""
    gap = severities[None] - severities[:, None]
    pairs = (group[:, None] == group[None]) & (gap > 0)
    hinge = functional.relu(SCORE_MARGIN * gap - (score[:, None] - score[None])) * pairs
    return hinge.sum() / pairs.sum().clamp_min(1) / _UNIT


def cause_loss(causes: Tensor, cause: Tensor, severities: Tensor) -> Tensor:
    """Binary cross-entropy summed over the causes; the target is the severity for the right cause, 0 for all others."""
    target = functional.one_hot(cause, causes.shape[1]) * severities[:, None]
    strength = causes.float().clamp(_EPSILON, 1 - _EPSILON)  # PyTorch's own loss refuses mixed precision
    return -(target * strength.log() + (1 - target) * (1 - strength).log()).sum(1).mean()


def map_level_loss(maps: Tensor, mos: Tensor) -> Tensor:
    """The mean of a map `[N, h, w]` must be near the MOS `[N]`, where there is one."""
    rated = mos.isfinite()
    if not rated.any():
        return 0 * maps.sum()
    return functional.smooth_l1_loss(maps[rated].mean((1, 2)) / _UNIT, mos[rated] / _UNIT)


def map_place_loss(maps: Tensor, group: Tensor, level: Tensor, changed: Tensor) -> Tensor:
    """Against the clean picture a map `[N, h, w]` must fall where a distortion is visible, and stay where it is absent.

    It must fall by MAP_MARGIN at level 5, in proportion below.
    """
    same_group = group[:, None] == group[None]
    clean, distorted = torch.nonzero(same_group & (level[:, None] == 0) & (level[None] > 0)).unbind(1)
    if not len(clean):
        return 0 * maps.sum()
    fall = maps[clean] - maps[distorted]
    cells = functional.interpolate(changed[distorted, None], maps.shape[1:], mode="area")[:, 0]
    inside, outside = cells > _VISIBLE, cells == 0
    shortfall = functional.relu(MAP_MARGIN / LEVELS[-1] * level[distorted, None, None] - fall) / _UNIT
    drift = functional.smooth_l1_loss(fall / _UNIT, torch.zeros_like(fall), reduction="none")
    return _mean(shortfall, inside) + _mean(drift, outside)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)

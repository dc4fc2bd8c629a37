"""What a student minimises on made faults: their order, their causes, and where they lie in the map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dpiqa.train.distortions.kinds.base import LEVELS
from dpiqa.train.distortions.options import FaultWeights

# Points of 100 that the worst fault must cost at least. People see a step from one level to the next, a fifth of it.
SCORE_MARGIN = 25.0
MAP_MARGIN = 30.0
_UNIT = 10.0  # of the errors, as in losses.py
_VISIBLE = 1.0  # mean change of a cell, in levels of 255
_WHOLE = 0.25  # a fault over as much of the frame counts in full
_LEAST = 1e-6


@dataclass(frozen=True)
class MixedLoss:
    """The loss of rated items and of made ones (see faults.WithFaults), which may share a batch.

    `names` are those of the model's outputs in order; `rated` takes a dict of outputs and the targets of the rated
    items.
    """

    names: tuple[str, ...]
    rated: Callable[..., Tensor]
    weights: FaultWeights

    def __call__(self, outputs: Tensor | tuple[Tensor, ...], *targets: Tensor) -> Tensor:
        """The weighted sum over a batch."""
        whole = outputs if isinstance(outputs, tuple) else (outputs,)
        said = dict(zip(self.names, whole, strict=True))
        *told, group, level, cause, changed = targets
        is_rated, is_made = group < 0, group >= 0
        total = torch.stack([0 * output.sum() for output in whole]).sum()  # every weight takes part
        if is_rated.any():
            own = {name: output[is_rated] for name, output in said.items()}
            total = total + self.rated(own, *(target[is_rated] for target in told))
            if "map" in own:
                total = total + self.weights.map * map_level_loss(own["map"], told[0][is_rated])
        if not is_made.any():
            return total
        own = {name: output[is_made] for name, output in said.items()}
        group, level, cause, changed = (target[is_made] for target in (group, level, cause, changed))
        worst = severity(level, changed)
        if self.weights.order:
            total = total + self.weights.order * order_loss(own["score"], group, worst)
        if "causes" in own:
            total = total + self.weights.causes * cause_loss(own["causes"], cause, worst)
        if "map" in own:
            total = total + self.weights.map * map_place_loss(own["map"], group, level, changed)
        return total


def severity(level: Tensor, changed: Tensor) -> Tensor:
    """How bad each item `[N]` is, 0 to 1: its level, less where less than a quarter of the cells shows the fault."""
    seen = (changed > _VISIBLE).float().mean((1, 2))
    return level / LEVELS[-1] * (seen / _WHOLE).clamp(max=1)


def order_loss(score: Tensor, group: Tensor, worst: Tensor) -> Tensor:
    """Within a group the worse item must score lower, by SCORE_MARGIN times the difference in severity."""
    gap = worst[None] - worst[:, None]
    pairs = (group[:, None] == group[None]) & (gap > 0)
    hinge = functional.relu(SCORE_MARGIN * gap - (score[:, None] - score[None])) * pairs
    return hinge.sum() / pairs.sum().clamp_min(1) / _UNIT


def cause_loss(causes: Tensor, cause: Tensor, worst: Tensor) -> Tensor:
    """Binary cross-entropy of every cause, summed; the fault's own has its severity as target, all others 0."""
    target = functional.one_hot(cause, causes.shape[1]) * worst[:, None]
    sure = causes.float().clamp(_LEAST, 1 - _LEAST)  # not torch's own loss, which mixed precision refuses
    return -(target * sure.log() + (1 - target) * (1 - sure).log()).sum(1).mean()


def map_level_loss(drawn: Tensor, mos: Tensor) -> Tensor:
    """The mean of a map `[N, h, w]` is near the MOS `[N]`, where there is one."""
    known = mos.isfinite()
    if not known.any():
        return 0 * drawn.sum()
    return functional.smooth_l1_loss(drawn[known].mean((1, 2)) / _UNIT, mos[known] / _UNIT)


def map_place_loss(drawn: Tensor, group: Tensor, level: Tensor, changed: Tensor) -> Tensor:
    """Against the clean picture a map `[N, h, w]` falls where the fault shows, and stays where no pixel changed.

    It must fall by MAP_MARGIN at level 5, in proportion below.
    """
    clean, made = torch.nonzero((group[:, None] == group[None]) & (level[:, None] == 0) & (level[None] > 0)).unbind(1)
    if not len(clean):
        return 0 * drawn.sum()
    fall = drawn[clean] - drawn[made]
    cells = functional.interpolate(changed[made, None], drawn.shape[1:], mode="area")[:, 0]
    inside, outside = cells > _VISIBLE, cells == 0
    short = functional.relu(MAP_MARGIN / LEVELS[-1] * level[made, None, None] - fall) / _UNIT
    moved = functional.smooth_l1_loss(fall / _UNIT, torch.zeros_like(fall), reduction="none")
    return _mean(short, inside) + _mean(moved, outside)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)

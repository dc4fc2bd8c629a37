"""The losses of train.losses in static shapes: collections by masks, so that a whole step can be captured."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .recipe import Recipe

OFFSET_SCALE = 100.0  # an offset's parameter counts in units of so many points, to learn as fast as the head does
_UNIT = 10.0
_FEWEST_COMPARED = 3
_SPREAD = 5.0  # of the judgements on one picture in Thurstone's model, in points


def recipe_loss(recipe: Recipe, score: Tensor, mos: Tensor, collection: Tensor, count: int, offset: Tensor) -> Tensor:
    """What a recipe minimises: float `[N]` scores and MOS in points, collections `[N]` from 0 to `count` - 1.

    `offset` float `[count]`, one a collection, in units of OFFSET_SCALE points.
    """
    own = (collection[None] == torch.arange(count, device=mos.device)[:, None]).float()
    total = _regression(recipe, score, mos, own, offset)
    return total + comparison(recipe, score, mos, own if recipe.compare == "within" else torch.ones_like(own[:1]))


def _regression(recipe: Recipe, score: Tensor, mos: Tensor, own: Tensor, offset: Tensor) -> Tensor:
    plain = functional.smooth_l1_loss(score / _UNIT, mos / _UNIT)
    if recipe.regression == "across":
        return plain
    if recipe.regression == "offset":
        moved = score + OFFSET_SCALE * (offset[:, None] * own).sum(0)
        shrunk = recipe.offset_decay * (OFFSET_SCALE / _UNIT * offset).square().mean()
        return functional.smooth_l1_loss(moved / _UNIT, mos / _UNIT) + shrunk + recipe.anchor * plain
    if recipe.regression != "deviation":
        raise ValueError(f"unknown regression '{recipe.regression}'")
    here, there = ((_deviations(value, own) * own).sum(0) / _UNIT for value in (score, mos))
    return functional.smooth_l1_loss(here, there) + recipe.anchor * plain


def comparison(recipe: Recipe, score: Tensor, mos: Tensor, own: Tensor) -> Tensor:
    """Correlation and ranking within the sets `own`, float `[sets, N]` of 0 and 1; a set counts by its pictures."""
    count = own.sum(1)
    compared = count * (count >= _FEWEST_COMPARED)
    share = compared / compared.sum().clamp_min(1)
    a, b = _deviations(score, own) * own, _deviations(mos, own) * own
    norms = (a.square().sum(1) * b.square().sum(1)).clamp_min(1e-12).sqrt()
    correlation = 1 - (a * b).sum(1) / norms
    higher = torch.sign(mos[:, None] - mos[None, :])
    difference = score[:, None] - score[None, :]
    if recipe.ranking == "fidelity":
        scale = 1 / (2 * _SPREAD)  # the difference of two judgements, and erf's own root of two
        predicted, rated = (0.5 * (1 + torch.erf(scale * d)) for d in (difference, mos[:, None] - mos[None, :]))
        pair = 1 - (predicted * rated + 1e-6).sqrt() - ((1 - predicted) * (1 - rated) + 1e-6).sqrt()
        weight, unit = torch.ones_like(pair), 0.25  # of the order of the hinge at the start
    elif recipe.ranking == "hinge":
        margin = 0.25 * (b.square().sum(1) / count.clamp_min(1)).sqrt()
        pair = functional.relu((margin[:, None] * own).sum(0)[:, None] - higher * difference)
        weight, unit = higher.abs(), _UNIT
    else:
        raise ValueError(f"unknown ranking '{recipe.ranking}'")
    together = own[:, :, None] * own[:, None, :] * weight
    ranking = (pair * together).sum((1, 2)) / together.sum((1, 2)).clamp_min(1) / unit
    return (share * (correlation + recipe.rank_weight * ranking)).sum()


def _deviations(value: Tensor, own: Tensor) -> Tensor:
    """`[sets, N]`: how far every value lies from the mean of each set."""
    mean = (own * value).sum(1) / own.sum(1).clamp_min(1)
    return value[None] - mean[:, None]


def cosine(done: float, warmup: float) -> float:
    """The share of the learning rate when a share of the steps is done, as train.loop has it."""
    return done / warmup if done < warmup else 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))

"""Losses on quality scores; each takes float `[N]` predictions and targets in points (0 to 100).

`weight` `[N]`, none negative, says how much each picture counts; without it, all count the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Errors are counted in units of ten points, about the spread of one rater around the mean.
_UNIT = 10.0
_MIN_COMPARED = 3  # two pictures always correlate perfectly


def regression_loss(score: Tensor, mos: Tensor, weight: Tensor | None = None) -> Tensor:
    """Smooth L1: quadratic within ten points, linear beyond, so that a few doubtful labels do not dominate."""
    if weight is None:
        return functional.smooth_l1_loss(score / _UNIT, mos / _UNIT)
    return _mean(functional.smooth_l1_loss(score / _UNIT, mos / _UNIT, reduction="none"), weight)


def squared_loss(score: Tensor, mos: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean squared error, in units of ten points."""
    return _mean(((score - mos) / _UNIT).square(), weight)


def correlation_loss(score: Tensor, mos: Tensor, weight: Tensor | None = None) -> Tensor:
    """One minus Pearson's correlation over the batch: 0 (perfect) to 2."""
    a, b = score - _mean(score, weight), mos - _mean(mos, weight)
    if weight is not None:
        a, b = a * weight.sqrt(), b * weight.sqrt()
    return 1 - (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-6)


def ranking_loss(score: Tensor, mos: Tensor, weight: Tensor | None = None) -> Tensor:
    """Margin ranking over all pairs (DP-IQA, section 3.4): margin 0.25 standard deviations of the batch's MOS.

    A pair counts by the product of its pictures' weights.
    """
    higher = torch.sign(mos[:, None] - mos[None, :])
    lead = higher * (score[:, None] - score[None, :])
    pairs = higher.abs() if weight is None else higher.abs() * weight[:, None] * weight[None, :]
    hinge = functional.relu(0.25 * mos.std(correction=0) - lead) * pairs
    return hinge.sum() / pairs.sum().clamp_min(1 if weight is None else 1e-6) / _UNIT


def quality_loss(score: Tensor, mos: Tensor, collection: Tensor | None = None, offsets: Tensor | None = None) -> Tensor:
    """The loss of the student: regression + correlation + ranking, each about one at the start.

    With `collection`, whole numbers `[N]`, correlation and ranking compare only pictures of one collection: otherwise
    the student learns to recognise collections of high MOS, which says nothing about pictures from elsewhere. With
    `offsets` `[N, C]` too, the regression compares the score plus the offset of the picture's collection, in points.
    """
    if collection is None:
        return regression_loss(score, mos) + correlation_loss(score, mos) + ranking_loss(score, mos)
    compared = [(score[own], mos[own]) for own in collection[None] == collection.unique()[:, None]]
    compared = [pair for pair in compared if len(pair[0]) >= _MIN_COMPARED]
    shift = 0 if offsets is None else offsets.gather(1, collection[:, None]).squeeze(1)
    total = regression_loss(score + shift, mos)
    for own_score, own_mos in compared:
        fraction = len(own_score) / sum(len(own) for own, _ in compared)
        total = total + fraction * (correlation_loss(own_score, own_mos) + ranking_loss(own_score, own_mos))
    return total


def ranked_loss(score: Tensor, mos: Tensor) -> Tensor:
    """Regression and margin ranking: `paper_loss`, but linear where errors are large, which doubtful labels are."""
    return regression_loss(score, mos) + ranking_loss(score, mos)


def paper_loss(score: Tensor, mos: Tensor) -> Tensor:
    """The paper's loss: mean squared error and margin ranking (DP-IQA, section 3.4)."""
    return squared_loss(score, mos) + ranking_loss(score, mos)


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    return values.mean() if weight is None else (weight * values).sum() / weight.sum().clamp_min(1e-6)

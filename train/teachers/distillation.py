"""The student during distillation, and its losses (DP-IQA, section 3.5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dpiqa.train.loop.losses import correlation_loss, ranking_loss, regression_loss, squared_loss
from dpiqa.train.loop.recipe import DistillationWeights
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.cache import MAP_SHAPE


class DistilledStudent(Student):
    """A student that also predicts the teacher's map, as its last output, by a projection that is later discarded.

    The map is a linear function of the four feature levels, so that the features must contain what it teaches.
    """

    def __init__(self, arch: str, **heads: Any) -> None:
        super().__init__(arch, **heads)
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        self.projection = nn.ModuleList(nn.Conv2d(count, MAP_SHAPE[0], 1) for count in channels)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and standardised maps `[N, 8, H / 4, W / 4]`."""
        levels = self.forward_features(frames)
        maps = [project(level) for project, level in zip(self.projection, levels, strict=False)]
        size = maps[0].shape[2:]
        resized = [functional.interpolate(level, size, mode="bilinear") for level in maps]
        return *self.forward_heads(levels), torch.stack(resized).sum(0).float()


def distillation_loss(
    outputs: tuple[Tensor, ...],
    mos: Tensor,
    teacher_score: Tensor,
    teacher_maps: Tensor,
    certainty: Tensor,
    weights: DistillationWeights,
    squared: bool = False,
) -> Tensor:
    """The weighted sum of all losses; `mos` (NaN if unknown) and `teacher_score` `[N]` in points.

    Scores have the losses of training on MOS, regression and correlation. Pictures are ranked by MOS or, without one,
    by the teacher's score. Maps `[N, 8, h, w]` are compared by smooth L1 at the teacher's scale. What the teacher says
    counts by its `certainty` `[N]`, 0 to 1. With `squared`, scores and maps have the mean squared error alone, as in
    the paper.
    """
    score, *_, maps = outputs
    rated = mos.isfinite()
    total = 0 * (score.sum() + maps.sum())  # every weight takes part, as several processes need it
    if weights.score and rated.any():
        total = total + weights.score * _score_loss(score[rated], mos[rated], squared=squared)
    if weights.teacher:
        total = total + weights.teacher * _score_loss(score, teacher_score, certainty, squared)
    if weights.ranking:
        target, weight = torch.where(rated, mos, teacher_score), torch.where(rated, 1, certainty)
        total = total + weights.ranking * ranking_loss(score, target, weight)
    if weights.map:
        maps = functional.interpolate(maps, teacher_maps.shape[2:], mode="bilinear", antialias=True)
        difference = functional.mse_loss if squared else functional.smooth_l1_loss
        total = total + weights.map * difference(maps, teacher_maps)
    return total


def _score_loss(score: Tensor, target: Tensor, weight: Tensor | None = None, squared: bool = False) -> Tensor:
    if squared:
        return squared_loss(score, target, weight)
    return regression_loss(score, target, weight) + correlation_loss(score, target, weight)

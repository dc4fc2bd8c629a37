"""The student while it learns from a teacher, and what it minimises (DP-IQA, section 3.5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dpiqa.train.loop.losses import correlation_loss, ranking_loss, regression_loss
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.cache import MAP_SHAPE
from dpiqa.train.teachers.options import Weights


class Pupil(Student):
    """A student that also draws the teacher's map, last of its outputs, by a projection that is no part of the student.

    The map is a linear function of the four feature levels, so that what it teaches must be in the features.
    """

    def __init__(self, arch: str, **heads: Any) -> None:
        super().__init__(arch, **heads)
        channels = [level["num_chs"] for level in self.trunk.feature_info][-4:]
        self.projection = nn.ModuleList(nn.Conv2d(count, MAP_SHAPE[0], 1) for count in channels)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and standardised maps `[N, 8, H / 4, W / 4]`."""
        levels = self.look(frames)
        drawn = [project(level) for project, level in zip(self.projection, levels, strict=False)]
        size = drawn[0].shape[2:]
        resized = [functional.interpolate(level, size, mode="bilinear") for level in drawn]
        return *self.judge(levels), torch.stack(resized).sum(0).float()


def distillation_loss(
    outputs: tuple[Tensor, ...], mos: Tensor, taught: Tensor, maps: Tensor, weights: Weights
) -> Tensor:
    """The weighted sum of all losses; `mos` (NaN where unknown) and `taught` (the teacher's scores) `[N]` in points.

    Scores are judged as in training on MOS, by regression and correlation. Pictures are ranked by MOS or, where they
    have none, by the teacher's score. Maps `[N, 8, h, w]` are compared by smooth L1 at the teacher's scale.
    """
    score, *_, drawn = outputs
    rated = mos.isfinite()
    total = 0 * (score.sum() + drawn.sum())  # every weight takes part, as several processes need it
    if weights.score and rated.any():
        total = total + weights.score * _score_loss(score[rated], mos[rated])
    if weights.teacher:
        total = total + weights.teacher * _score_loss(score, taught)
    if weights.ranking:
        total = total + weights.ranking * ranking_loss(score, torch.where(rated, mos, taught))
    if weights.map:
        drawn = functional.interpolate(drawn, maps.shape[2:], mode="bilinear", antialias=True)
        total = total + weights.map * functional.smooth_l1_loss(drawn, maps)
    return total


def _score_loss(score: Tensor, target: Tensor) -> Tensor:
    return regression_loss(score, target) + correlation_loss(score, target)

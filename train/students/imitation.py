"""A student that learns to give what it gave before, for training with fake quantizers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.loop.fit import answers
from dpiqa.train.loop.losses import regression_loss
from dpiqa.train.students.model import Student


class Imitator(Student):
    """A student that shows its pooled features too: hundreds of numbers a picture to learn from instead of one."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and its pooled features `[N, F]`."""
        levels = self.look(frames)
        return *self.judge(levels), torch.cat([level.mean((2, 3)) for level in levels], dim=1).float()


class ImitatedFrames(RatedFrames):
    """Whole frames, uint8 RGB `[H, W, 3]`, with what a student answered to them as targets."""

    def __init__(self, samples: list[Sample], spec: InputSpec, imitated: Imitator) -> None:
        super().__init__(samples, spec)
        found = [outputs for outputs, _ in answers(imitated, RatedFrames(samples, spec))]
        self.answers = [torch.cat(column).clone() for column in zip(*found, strict=True)]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        frame, _ = self.show(index, index)
        return (frame, *(answer[index] for answer in self.answers))


def imitation_loss(outputs: tuple[Tensor, ...], *wanted: Tensor, spread: Tensor, weight: float) -> Tensor:
    """How far an Imitator's outputs are from those wanted.

    Smooth L1 of the scores; the mean error of causes (0 to 1) and map (0 to 100), each on a scale of ten; `weight`
    times the squared error of the features in units of their spread `[F]`.
    """
    (score, *others, features), (score_wanted, *others_wanted, features_wanted) = outputs, wanted
    total = regression_loss(score, score_wanted)
    for found, answer in zip(others, others_wanted, strict=True):
        total = total + (found - answer).abs().mean() * (10 if answer.ndim == 2 else 0.1)
    return total + weight * functional.mse_loss(features / spread, features_wanted / spread)

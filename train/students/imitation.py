"""Training a student to reproduce its former outputs, for fine-tuning with fake quantizers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.loop.inference import infer_batches
from dpiqa.train.loop.losses import regression_loss
from dpiqa.train.students.model import Student, means


class Imitator(Student):
    """A student that also outputs its pooled features: hundreds of targets per picture instead of one."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and its pooled features `[N, F]`."""
        levels = self.forward_features(frames)
        return *self.forward_heads(levels), means(levels).float()


class ImitatedFrames(RatedFrames):
    """Whole frames, uint8 RGB `[H, W, 3]`, with the outputs of an imitated student as targets."""

    def __init__(self, samples: list[Sample], spec: InputSpec, imitated: Imitator) -> None:
        super().__init__(samples, spec)
        batches = [outputs for outputs, _ in infer_batches(imitated, RatedFrames(samples, spec))]
        self.targets = [torch.cat(column).clone() for column in zip(*batches, strict=True)]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        frame, _ = self.load(index, index)
        return (frame, *(target[index] for target in self.targets))


def imitation_loss(outputs: tuple[Tensor, ...], *targets: Tensor, spread: Tensor, weight: float) -> Tensor:
    """The distance of an Imitator's outputs from their targets.

    Smooth L1 of the scores; the mean error of causes (0 to 1) and map (0 to 100), each on a scale of ten; `weight`
    times the squared error of the features in units of their spread `[F]`.
    """
    (score, *others, features), (target_score, *other_targets, target_features) = outputs, targets
    total = regression_loss(score, target_score)
    for output, target in zip(others, other_targets, strict=True):
        total = total + (output - target).abs().mean() * (10 if target.ndim == 2 else 0.1)
    return total + weight * functional.mse_loss(features / spread, target_features / spread)

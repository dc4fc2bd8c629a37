"""Weights averaged over students that began alike (model soups, Wortsman et al. 2022), and drawn back to ImageNet's."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.train.students.model import Student


@torch.no_grad()
def mean_student(students: list[Student]) -> Student:
    """A student with the mean of the weights of all, which must have the same configuration; else InputError."""
    first = students[0]
    if unlike := next((one for one in students if one.config != first.config), None):
        fields = first.config.keys() | unlike.config.keys()
        field = min(name for name in fields if first.config.get(name) != unlike.config.get(name))
        raise InputError(
            f"students of different kinds cannot be averaged: {field} {first.config.get(field)} and "
            f"{unlike.config.get(field)}"
        )
    states = [student.state_dict() for student in students]
    mean = Student(**first.config)
    mean.load_state_dict({
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    })  # fmt: skip
    return mean.eval()


@torch.no_grad()
def towards_imagenet(student: Student, share: float) -> str:
    """Move the trunk a share (0 to 1) of the way to its ImageNet weights; return where these come from.

    What a network still has of them helps it with pictures unlike those it was fine-tuned on (WiSE-FT, Wortsman et al.
    2022).
    """
    original = Student(student.config["arch"])
    origin = original.load_imagenet()
    for value, start in zip(student.trunk.state_dict().values(), original.trunk.state_dict().values(), strict=True):
        if value.is_floating_point():
            value.lerp_(start, share)
    return origin


@torch.no_grad()
def estimate_norms(student: Student, batches: Iterable[Tensor]) -> None:
    """Set the statistics of batch normalisation to their means over batches of uint8 frames `[N, H, W, 3]`.

    Those of networks that were averaged do not belong to the averaged network.
    """
    norms = [part for part in student.trunk.modules() if isinstance(part, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    student.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for frames in batches:
        student.forward_features(frames.to(student.mean.device))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()

"""Defaults of distillation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """What each loss counts; one of weight 0 is left out."""

    score: float = 1.0
    teacher: float = 1.0
    map: float = 1.0
    ranking: float = 1.0

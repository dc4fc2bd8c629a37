"""The processes that train together, one for each GPU or, where there is none, as many as were launched."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, PartialState


def processes() -> PartialState:
    """This process and how many there are; the first call joins them, by NCCL on GPUs and by gloo without."""
    return PartialState(cpu=_without_gpu())


def accelerator(precision: str) -> Accelerator:
    """What trains over all processes; `precision`: fp32, bf16 or fp16."""
    processes()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=_without_gpu())


def _without_gpu() -> bool:
    """Whether several processes must do without GPUs: accelerate joins them only where it is told so."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()

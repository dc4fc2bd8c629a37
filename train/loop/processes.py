"""The processes that train together: one per GPU or, without GPUs, as many as were launched."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, PartialState


def processes() -> PartialState:
    """This process and the number of processes; the first call joins them, by NCCL on GPUs, else by gloo."""
    return PartialState(cpu=_without_gpu())


def accelerator(precision: str) -> Accelerator:
    """The Accelerator over all processes; `precision`: fp32, bf16 or fp16."""
    processes()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=_without_gpu())


def _without_gpu() -> bool:
    """Whether several processes run without GPUs, which accelerate must know to join them."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()

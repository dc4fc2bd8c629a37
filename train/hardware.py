"""What a run ran on, for logs and cards."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe() -> str:
    """The accelerator or processor, the usable cores and PyTorch's version, in words."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores"
    return f"{device}, PyTorch {torch.__version__.partition('+')[0]}, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"

"""What a finished run leaves written about itself, beside its checkpoints."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.machine import processor
from dpiqa.train.loop.processes import processes


def record_run(out: Path, about: dict[str, Any], **facts: Any) -> None:
    """Write `out/run.json` (from the main process alone): `about`, the facts given, the hardware, the metrics' hash."""
    if processes().is_main_process:
        told = about | facts | {"hardware": hardware(), "metrics_sha256": metrics_sha256(out / "log.csv")}
        with atomic_write(out / "run.json") as file:
            file.write(json.dumps(told, indent=2).encode() + b"\n")


def metrics_sha256(log: Path) -> str:
    """The SHA-256 of a log without its times: the same for the same seed on the same machine with as many threads."""
    table = pd.read_csv(log, dtype=str).drop(columns="train_seconds")
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def runner(engine: str) -> str:
    """An engine of the runtime by name, with its version where a package of that name tells it."""
    try:
        return f"{engine} {version(engine)}"
    except PackageNotFoundError:
        return engine


def hardware() -> str:
    """What trains here: the GPU or the processor, how many threads and processes, and PyTorch's version."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    device += f", {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    words = f"{device} ({torch.backends.cpu.get_cpu_capability()}), PyTorch {torch.__version__.partition('+')[0]}"
    count = processes().num_processes
    return words if count == 1 else f"{count} x {words}"

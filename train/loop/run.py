"""What a finished run leaves beside its checkpoints: `run.json`, and where it ran."""

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
from dpiqa.train.loop.record import RunRecord


def record_run(out: Path, record: RunRecord, **facts: Any) -> None:
    """Write `out/run.json` with the record, the facts, the hardware and the digest of the metrics."""
    if processes().is_main_process:
        write_run(out, record, **facts, hardware=hardware(), metrics_sha256=metrics_sha256(out / "log.csv"))


def write_run(out: Path, record: RunRecord, **facts: Any) -> None:
    """Write `out/run.json` with the record and the facts."""
    with atomic_write(out / "run.json") as file:
        file.write(json.dumps(record.to_dict() | facts, indent=2).encode() + b"\n")


def metrics_sha256(log: Path) -> str:
    """The SHA-256 of a log without its times: equal for the same seed, machine and number of threads."""
    table = pd.read_csv(log, dtype=str).drop(columns="train_seconds")
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def runner(engine: str) -> str:
    """The name of an engine, with the version of the package of that name if there is one."""
    try:
        return f"{engine} {version(engine)}"
    except PackageNotFoundError:
        return engine


def hardware() -> str:
    """The GPU or processor, the number of threads and processes, and PyTorch's version."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    device += f", {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    words = f"{device} ({torch.backends.cpu.get_cpu_capability()}), PyTorch {torch.__version__.partition('+')[0]}"
    count = processes().num_processes
    return words if count == 1 else f"{count} x {words}"

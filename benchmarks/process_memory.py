"""The memory of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def memory_mb(pid: int, field: str) -> float:
    """A field of a process's status, such as VmRSS or its peak VmHWM, in megabytes of 1024 KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024

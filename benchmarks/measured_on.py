"""The machine and the versions of a measurement: the column `machine` of the CSV files here."""

from __future__ import annotations

import platform
from importlib.metadata import version

from dpiqa.runtime.machine import processor


def measured_on(*packages: str) -> str:
    """The processor, Python, and the versions of `packages`."""
    parts = [processor(), f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    return ", ".join(parts)

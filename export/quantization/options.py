"""The settings of quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_CALIBRATION, Budget

Method = Literal["max", "entropy", "percentile"]


@dataclass(frozen=True)
class Quantization:
    """How to quantize an FP32 model, and what it may lose; the options of `dpiqa export int8`.

    Raises InputError for settings that contradict each other.
    """

    calibration: str
    budget: Budget
    images: int = 300
    allow_few: bool = False
    method: Method = "percentile"
    percentile: float = 99.99
    keep: int = 0
    auto_repair: bool = False
    min_int8: float = 0.95
    seed: int = 0
    bias_correction: bool = True

    def __post_init__(self) -> None:
        if self.keep and self.auto_repair:
            raise InputError("--keep and --auto-repair exclude each other: one sets the number of layers, one finds it")
        if self.images < MIN_CALIBRATION and not self.allow_few:
            raise InputError(
                f"--images {self.images}: calibration needs at least {MIN_CALIBRATION} (--allow-few overrides)"
            )

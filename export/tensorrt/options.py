"""Options of TensorRT engines."""

from __future__ import annotations

from typing import Literal

Precision = Literal["int8", "fp16", "fp32"]
MIN_INT8 = 0.95

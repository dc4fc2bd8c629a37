"""Defaults of the commands that evaluate."""

from __future__ import annotations

REFERENCE = "onnxruntime"

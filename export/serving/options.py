"""Options of the servers."""

from __future__ import annotations

from typing import Literal

Kind = Literal["auto", "cpu", "gpu"]
DEFAULT_MAX_BATCH = 8

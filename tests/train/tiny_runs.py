"""Runs of the diffusion teacher's commands on a tiny release, in this process but through the command line."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpiqa.runtime.program import run

SPLIT = "ratio:0"
SMALL = ["--size", "64", "--width", "8", "--batch", "8", "--epochs", "2", "--lr", "1e-3", "--precision", "fp32"]


def teach(release: Path | str | None, table: Path, out: Path, *more: str) -> list[str]:
    """Options of train.teacher for two epochs of a tiny teacher; `more` override them."""
    options = ["--prior", "sd15", "--data", f"csv={table}", "--split", SPLIT, "--out", str(out), *SMALL, *more]
    return [*options, "--weights", str(release)] if release else options


def ended(main: Callable[..., Any], options: list[str]) -> tuple[int, list[str]]:
    """The exit status of a command and its lines on stderr."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as stderr:
        patch.setattr(sys, "argv", ["train", *options])
        with pytest.raises(SystemExit) as leaving:
            run(main)
    signal.signal(signal.SIGTERM, before)
    return int(leaving.value.code or 0), stderr.getvalue().splitlines()

"""A seeded part of benchmarks/mutated_files.py: no mutated file crashes or stalls a reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutated_files.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_mutated_files_are_read_or_refused_in_one_line() -> None:
    command = [sys.executable, SCRIPT, "--pictures", "300", "--videos", "50", "--seed", "7"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "350 files, 0 wrong" in ended.stdout

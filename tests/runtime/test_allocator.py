"""What is freed goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
from pathlib import Path
from dpiqa.runtime.allocator import return_free_memory

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

blocks = [bytearray(b"1" * 100_000) for _ in range(2000)]
last = blocks[-1]  # lies above what is freed
del blocks
before = resident_mb()
return_free_memory()
print(before - resident_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_free_memory_below_what_is_in_use_is_given_back() -> None:
    program = subprocess.run([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, check=True)
    assert float(program.stdout) > 150

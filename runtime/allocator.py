"""How the C library keeps memory. Does nothing with another one than glibc."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # glibc's name for it
_LARGE_BYTES = 2**20


def return_large_buffers() -> None:
    """Have every buffer of a megabyte or more given back to the system when it is freed.

    Left alone, glibc raises that limit with use, up to 32 MB: the frames of each camera then stay in the arena of its
    thread.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_free_memory() -> None:
    """Give what was freed back to the system: a process that is forked would keep a copy of it."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(None), function)(*arguments)

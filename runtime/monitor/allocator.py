"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # glibc's name for it
_LARGE_BYTES = 2**20


def return_large_buffers() -> None:
    """Have glibc give every buffer of a megabyte or more back to the system when it is freed.

    Left alone, it raises that limit with use, up to 32 MB: the frames of each camera then stay in the arena of its
    thread. Does nothing with another C library.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)

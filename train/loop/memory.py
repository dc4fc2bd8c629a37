"""Out-of-memory errors, on a GPU or not, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dpiqa.errors import InputError

_SIGNS = ("can't allocate memory", "out of memory", "ALLOC_FAILED")  # of PyTorch, of CUDA's and of its libraries


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that there was not enough memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_advice(
    advice: str = "use a smaller --batch or, for a teacher, --accumulate, --gradient-checkpointing or --ema 0",
) -> Iterator[None]:
    """Turn an out-of-memory error into an InputError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"out of memory: {advice}") from None

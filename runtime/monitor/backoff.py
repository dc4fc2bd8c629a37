"""When to try again."""

from __future__ import annotations

import random

_FIRST_S = 0.25


class Backoff:
    """Waits that double from a quarter of a second to a ceiling, shortened by up to half at random.

    The chance keeps many cameras behind one switch from coming back at the same instant.
    """

    def __init__(self, ceiling_s: float) -> None:
        self._ceiling_s = ceiling_s
        self._next_s = 0.0

    def after(self, lasted_s: float) -> float:
        """Seconds to wait after a connection that lasted `lasted_s` seconds; a lasting one is soon tried again."""
        if lasted_s > 2 * self._ceiling_s:
            self._next_s = 0.0
        self._next_s = min(max(_FIRST_S, 2 * self._next_s), self._ceiling_s)
        return self._next_s * random.uniform(0.5, 1)

"""Delays between reconnections."""

from __future__ import annotations

import random

_FIRST_S = 0.25


class Backoff:
    """Delays that double from a quarter of a second to a ceiling, shortened at random by up to half.

    The randomness keeps many cameras behind one switch from reconnecting at the same instant.
    """

    def __init__(self, ceiling_s: float) -> None:
        self._ceiling_s = ceiling_s
        self._next_s = 0.0

    def delay_s(self, connected_s: float) -> float:
        """Seconds to wait after a connection of `connected_s` seconds; a long one restarts the delays."""
        if connected_s > 2 * self._ceiling_s:
            self._next_s = 0.0
        self._next_s = min(max(_FIRST_S, 2 * self._next_s), self._ceiling_s)
        return self._next_s * random.uniform(0.5, 1)

"""Showing frames when they are due rather than when they can be read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import monotonic, sleep

from dpiqa.runtime.monitor.sources.grab import Grab

_LATE_S, _EARLY_S = 5.0, 60.0
_NAP_S = 0.2


def paced(grabs: Iterator[Grab]) -> Generator[Grab | None, None, None]:
    """The same frames, each held back until its presentation time says; None now and then while one is held back.

    A jump in the times (a minute ahead), or being late by more than five seconds, starts the clock anew.
    """
    shift_s: float | None = None
    for grab in grabs:
        if grab.pts_s is not None:
            now_s = monotonic()
            if shift_s is None or not -_LATE_S < grab.pts_s + shift_s - now_s < _EARLY_S:
                shift_s = now_s - grab.pts_s
            while (early_s := grab.pts_s + shift_s - monotonic()) > 0:
                sleep(min(early_s, _NAP_S))
                if early_s > _NAP_S:
                    yield None
        yield grab

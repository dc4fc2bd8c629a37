"""Delivers frames when they are due rather than as fast as they can be read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import monotonic, sleep

from dpiqa.runtime.monitor.sources.grab import Grab

_MAX_LATE_S, _MAX_EARLY_S = 5.0, 60.0
_POLL_S = 0.2


def paced(grabs: Iterator[Grab | None]) -> Generator[Grab | None, None, None]:
    """The same frames, each held back until its presentation time, with None now and then while one is held back.

    A jump in the times (a minute ahead), or being late by more than five seconds, restarts the clock.
    """
    offset_s: float | None = None
    for grab in grabs:
        if grab is not None and grab.pts_s is not None:
            now_s = monotonic()
            if offset_s is None or not -_MAX_LATE_S < grab.pts_s + offset_s - now_s < _MAX_EARLY_S:
                offset_s = now_s - grab.pts_s
            while (early_s := grab.pts_s + offset_s - monotonic()) > 0:
                sleep(min(early_s, _POLL_S))
                if early_s > _POLL_S:
                    yield None
        yield grab

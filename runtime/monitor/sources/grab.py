"""One frame as a source gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dpiqa.runtime.planes import Planes


@dataclass(frozen=True, eq=False)
class Grab:
    """A frame that was read and not converted yet, since most are never scored.

    `pixels` makes it planes, or BGR uint8 `[h, w, 3]`, before the next grab is asked for (InputError where that fails);
    `pts_s` is its presentation time in seconds, None where the source has none; `decode_s` the seconds that decoding
    took.
    """

    pixels: Callable[[], Planes | NDArray[Any]]
    pts_s: float | None = None
    decode_s: float = 0.0

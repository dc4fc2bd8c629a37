"""One frame as delivered by a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dpiqa.runtime.planes import Planes


@dataclass(frozen=True, eq=False)
class Grab:
    """A frame that was read but not converted yet, because most are never scored.

    `pixels` gives planes, or BGR uint8 `[h, w, 3]`, and must be called before the next grab (InputError if it fails);
    `pts_s` is its presentation time in seconds, None if the source has none; `decode_s` the decoding time in seconds.
    """

    pixels: Callable[[], Planes | NDArray[Any]]
    pts_s: float | None = None
    decode_s: float = 0.0

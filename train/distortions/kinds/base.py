"""Distortions, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from dpiqa.errors import InputError

Cause = Literal[
    "blur",
    "motion",
    "noise",
    "compression",
    "exposure_low",
    "exposure_high",
    "contrast",
    "colour",
    "obstruction",
    "transmission",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)
LEVELS = (1, 2, 3, 4, 5)
REFERENCE_SIDE = 512
Change = Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Distortion:
    """A distortion by a camera or a network: `strengths` go to `change` for levels 1 (visible) to 5 (severe).

    Lengths are in pixels of a picture whose shorter side is 512 and scale with the picture, except on the sensor's or
    the codec's own grid (noise, blocks, macroblocks).
    """

    name: str
    cause: Cause
    strengths: tuple[Any, ...]
    change: Change

    def apply(self, image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
        """Distort a BGR picture, uint8 `[h, w, 3]`, at `level` 1 to 5: a new array of the same shape.

        The random draws do not depend on the level: generators of the same seed give the same scratches, only stronger.
        Raises InputError for any other level or array.
        """
        if level not in LEVELS:
            raise InputError(f"{self.name}: level must be 1 to {LEVELS[-1]}, found {level}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(f"{self.name}: expected uint8 [h, w, 3], found {image.dtype} {list(image.shape)}")
        return self.change(np.ascontiguousarray(image), self.strengths[level - 1], rng)


REGISTER: dict[str, Distortion] = {}


def distortion(cause: Cause, *strengths: Any) -> Callable[[Change], Change]:
    """Register a function under its name, with its `strengths` for the levels 1 to 5."""

    def enter(change: Change) -> Change:
        if len(strengths) != len(LEVELS):
            raise ValueError(f"{change.__name__}: one strength per level is needed")
        REGISTER[change.__name__] = Distortion(change.__name__, cause, strengths, change)
        return change

    return enter


def unit(image: np.ndarray) -> float:
    """Pixels of this picture per pixel of a picture whose shorter side is 512."""
    return min(image.shape[:2]) / REFERENCE_SIDE


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Round floats on the scale 0 to 255 to uint8."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def to_linear(image: np.ndarray) -> np.ndarray:
    """The light behind uint8 values: float32, 0 to 1 (gamma 2.2)."""
    return _LIGHT[image]


def from_linear(light: np.ndarray) -> np.ndarray:
    """Light as uint8 values; anything brighter than 1 clips."""
    return _VALUE[(np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)]


def blend(image: np.ndarray, other: np.ndarray | float, opacity: np.ndarray) -> np.ndarray:
    """Blend `other` into a picture, uint8 `[h, w, 3]`, with `opacity` 0 to 1, `[h, w]`."""
    pixels, weight = image.astype(np.float32), opacity[..., None].astype(np.float32)
    return to_uint8(pixels + weight * (other - pixels))


def grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x `[1, w]` and y `[h, 1]` from -1 to 1 over the shorter side, 0 in the middle."""
    height, width = image.shape[:2]
    half = min(height, width) / 2
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / half
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / half
    return x[None], y[:, None]


_LIGHT = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
_VALUE = to_uint8(255 * np.linspace(0, 1, 65536) ** (1 / 2.2))

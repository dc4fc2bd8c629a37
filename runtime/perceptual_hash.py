"""Perceptual hashes: the same picture at another size, brightness or compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_THUMB, _WAVES = 32, 8


@dataclass(frozen=True)
class Print:
    """A picture's perceptual hash, 64 bits as uint64, and its thumbnail, float32 `[1024]` of mean 0 and norm 1."""

    hash: np.uint64
    thumb: NDArray[np.float32]


def perceptual_hash(image: NDArray[np.uint8]) -> Print:
    """Which of the lowest 8x8 frequencies of a BGR picture, uint8 `[h, w, 3]`, are above their median (pHash)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    thumb = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(thumb)[:_WAVES, :_WAVES].ravel()
    waves[0] = np.median(waves[1:])  # ignore the mean brightness
    bits = np.packbits(waves > waves[0]).view(">u8")[0]
    thumb -= thumb.mean()
    return Print(np.uint64(bits), (thumb / max(float(np.linalg.norm(thumb)), 1e-6)).ravel())


def differing_bits(words: NDArray[Any]) -> NDArray[np.int64]:
    """The number of bits that are set in each word, uint64 `[N]`."""
    return np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).sum(1)

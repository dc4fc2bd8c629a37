"""Rated data sets, made: one photograph-like texture, blurred more and more, whose MOS falls with the blur."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def blurred_texture(seed: int, sigma: float, side: int = 96) -> np.ndarray:
    """Random edges and grain, uint8 `[side, side, 3]`, softened by a Gaussian of `sigma` pixels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image


def write_rated_set(folder: Path, count: int, side: int = 96) -> Path:
    """Write `count` pictures and the table `scores.csv` (image, mos, group) to `folder`; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["image,mos,group"]
    for number in range(count):
        level = number % 8
        cv2.imwrite(str(folder / f"{number}.png"), blurred_texture(number, level / 2, side))
        rows.append(f"{number}.png,{95 - 11 * level},{number}")
    table = folder / "scores.csv"
    table.write_text("\n".join(rows) + "\n")
    return table

"""Colours that a profile describes, brought to sRGB with LittleCMS, as a screen would show them."""

from __future__ import annotations

import struct
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

_SPACE_OF_MODE = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_SAME = 3  # levels: what profiles that all mean sRGB differ by


def to_srgb(picture: Image.Image, icc: bytes) -> Image.Image:
    """Convert a picture of mode RGB, L or CMYK; one whose profile cannot be used, or means sRGB, stays as it is."""
    if icc[16:20] != _SPACE_OF_MODE.get(picture.mode):
        return picture
    transform = _transform(icc, picture.mode)
    return picture if transform is None else transform.apply(picture)


def srgb_from_bgr(pixels: NDArray[np.uint8], icc: bytes) -> NDArray[np.uint8]:
    """`to_srgb` for uint8 `[h, w, 3]` in BGR or `[h, w]` in grey; the result has the same form, or BGR for grey."""
    from PIL import Image

    is_grey = icc[16:20] == b"GRAY"
    mode = "L" if is_grey else "RGB"
    if icc[16:20] != _SPACE_OF_MODE[mode] or _transform(icc, mode) is None:
        return pixels
    if is_grey:
        source = pixels if pixels.ndim == 2 else pixels[..., 1]
    elif pixels.ndim == 2:
        return pixels
    else:
        source = pixels[..., ::-1]
    return np.ascontiguousarray(np.asarray(to_srgb(Image.fromarray(np.ascontiguousarray(source)), icc))[..., ::-1])


@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> Any:
    """The way from a profile to sRGB, None where there is nothing to convert or the profile is damaged."""
    from PIL import Image, ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "CMYK":
            return transform
        levels = np.linspace(0, 255, 17).round().astype(np.uint8)
        if mode == "L":
            grid = Image.fromarray(levels[None])
            same = np.repeat(levels[None, :, None], 3, axis=2)
        else:
            same = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(17, -1, 3)
            grid = Image.fromarray(same)
        moved = np.abs(np.asarray(transform.apply(grid)).astype(int) - same).max()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, struct.error):
        return None
    return transform if moved > _SAME else None

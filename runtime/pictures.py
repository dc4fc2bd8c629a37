"""The one reader of picture files: into BGR pixels as a person would see them, or refused in one line.

A file is what its first bytes say, whatever its name. Of an animation it is the first frame. Colours that an ICC
profile describes become sRGB; what has none is taken for sRGB. Values that mean light (Radiance, PFM, TIFF of floats)
are shown with 1 as white and sRGB's curve. OpenCV decodes, Pillow reads headers and decodes what OpenCV does not read
right (AVIF, GIF, CMYK with a profile, TIFF on its side), pillow-heif decodes HEIC.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.formats.header import Header, read_header
from dpiqa.runtime.formats.icc import srgb_from_bgr, to_srgb
from dpiqa.runtime.formats.kinds import HEAD_BYTES, MAX_MEGAPIXELS, PICTURE_SUFFIXES, kind_of
from dpiqa.runtime.formats.portable import portable_header, read_portable
from dpiqa.runtime.formats.whole import is_cut_off

__all__ = ["MAX_MEGAPIXELS", "MIN_SIDE", "PICTURE_SUFFIXES", "check_size", "read_picture"]

MIN_SIDE = 32
_BY_PILLOW = frozenset({"avif", "heif", "gif"})
_ORIENTED = frozenset({"png", "webp"})  # by the reader, since OpenCV turns none that it decodes with its alpha
_Pixels = NDArray[Any]


def check_size(image: np.ndarray, name: str | Path) -> None:
    """Refuse a picture of which there is too little to judge: a side below 32 pixels."""
    height, width = image.shape[:2]
    _check_sides(width, height, name)


def read_picture(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode a picture to BGR uint8 `[h, w, 3]`, upright, in sRGB.

    Grey, CMYK and 16-bit pictures are converted; an alpha channel is dropped when it hides nothing. Raises InputError
    for a missing, undecodable, truncated, partly transparent or too small picture, and, before it is decoded, for one
    of more than `max_megapixels` million pixels.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
            kind = kind_of(head)
            if kind is None:
                raise InputError(f"{path}: not a picture that can be decoded")
            data = head + file.read()
    except OSError as error:
        raise unreadable(path, error) from None
    if is_cut_off(data, kind):
        raise InputError(f"{path}: the file is cut off before the picture ends")
    try:
        pixels = _decode(data, kind, path, max_megapixels)
    except (cv2.error, ValueError, OSError, SyntaxError, EOFError, MemoryError, OverflowError):
        raise InputError(f"{path}: cannot be decoded, it is damaged or larger than its decoder accepts") from None
    check_size(pixels, path)
    return pixels


def _decode(data: bytes, kind: str, path: str | Path, max_megapixels: float) -> _Pixels:
    if kind == "portable":
        portable = portable_header(data)
        _check_header(portable.width, portable.height, path, max_megapixels)
        return _to_bgr(read_portable(data, portable), path)
    header = read_header(data, kind, str(path))
    _check_header(header.width, header.height, path, max_megapixels)
    if kind in _BY_PILLOW or _is_left_to_pillow(header, kind):
        return _by_pillow(header, path)
    buffer = np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR if kind == "jpeg" else cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("not decoded")
    pixels = _to_8_bits(pixels, path)
    if header.icc is not None:
        pixels = _with_profile(pixels, header.icc, path)
    pixels = _to_bgr(pixels, path)
    return _turned(pixels, header.orientation) if kind in _ORIENTED else pixels


def _is_left_to_pillow(header: Header, kind: str) -> bool:
    mode = header.handle.mode if header.handle else None
    if mode == "CMYK" and header.icc is not None:
        return True
    return kind == "tiff" and mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")


def _by_pillow(header: Header, path: str | Path) -> _Pixels:
    from PIL import ImageOps

    picture: Any = header.handle
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture.load()
            picture = ImageOps.exif_transpose(picture)
        except Exception:  # a decoder's errors for a damaged file share no base class
            raise ValueError("not decoded") from None
    if picture.mode in ("P", "PA", "LA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        _refuse_hidden(np.asarray(picture.getchannel("A")), path)
        picture = picture.convert("RGB")
    if header.icc is not None:
        picture = to_srgb(picture, header.icc)
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])


def _with_profile(pixels: _Pixels, icc: bytes, path: str | Path) -> _Pixels:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _to_bgr(pixels, path)
    return srgb_from_bgr(pixels, icc)


def _to_8_bits(pixels: _Pixels, path: str | Path) -> _Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if pixels.dtype == np.float32 and (pixels.ndim == 2 or pixels.shape[2] <= 3):
        light = np.clip(np.nan_to_num(pixels), 0, 1)
        curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
        return np.rint(255 * curve).astype(np.uint8)
    raise InputError(f"{path}: its samples are {pixels.dtype}, only 8 and 16 bits and float32 are read")


def _to_bgr(pixels: _Pixels, path: str | Path) -> _Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    if pixels.shape[2] == 4:
        _refuse_hidden(pixels[..., 3], path)
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)
    return np.ascontiguousarray(pixels)


def _refuse_hidden(alpha: _Pixels, path: str | Path) -> None:
    if alpha.min() < 255:
        raise InputError(f"{path}: has transparent pixels, flatten it onto its background first")


def _turned(pixels: _Pixels, orientation: int) -> _Pixels:
    if orientation >= 5:
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip)


def _check_header(width: int, height: int, path: str | Path, max_megapixels: float) -> None:
    _check_sides(width, height, path)
    if width * height > max_megapixels * 1e6:
        raise InputError(
            f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels, more than the {max_megapixels:g} that "
            "--max-megapixels allows"
        )


def _check_sides(width: int, height: int, name: str | Path) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{name}: {width}x{height} pixels is too small to score, both sides must be at least {MIN_SIDE}"
        )

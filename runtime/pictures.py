"""Reading picture files into BGR pixels, or refusing them in one line."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from dpiqa.errors import InputError, unreadable

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm"})
MIN_SIDE = 32

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
_JPEG_BARE = frozenset(bytes([0xFF, code]) for code in (0x01, *range(0xD0, 0xD9)))  # those that no length follows
_PNG_START, _PNG_END = b"\x89PNG", b"IEND"


def check_size(image: np.ndarray, name: str | Path) -> None:
    """Refuse a picture of which there is too little to judge: a side below 32 pixels."""
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{name}: {width}x{height} pixels is too small to score, both sides must be at least {MIN_SIDE}"
        )


def read_picture(path: str | Path) -> np.ndarray:
    """Decode a picture to BGR uint8 `[h, w, 3]`, upright.

    Grey, CMYK and 16-bit pictures are converted; an alpha channel is dropped when it hides nothing. Raises InputError
    for a missing, undecodable, truncated, partly transparent or too small picture.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if _is_truncated(data):
        raise InputError(f"{path}: the file is cut off before the picture ends")
    try:
        buffer = np.frombuffer(data, np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise InputError(f"{path}: not a picture that can be decoded")
        if not data.startswith(_JPEG_START) and _hides_pixels(cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)):
            raise InputError(f"{path}: has transparent pixels, flatten it onto its background first")
    except cv2.error:
        raise InputError(f"{path}: cannot be decoded, it is damaged or larger than OpenCV accepts") from None
    check_size(image, path)
    return image


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: libjpeg would fill the missing part with grey and only warn."""
    if data.startswith(_JPEG_START):
        return not _has_jpeg_end(data)
    return data.startswith(_PNG_START) and _PNG_END not in data


def _has_jpeg_end(data: bytes) -> bool:
    """Whether the markers lead to the end of the picture itself: thumbnails lie before it, and anything may follow."""
    place = 0
    while marker := _JPEG_MARKER.search(data, place):  # passes over entropy-coded data, which has FF only before 00
        if marker[0] == _JPEG_END:
            return True
        place = marker.end()
        if marker[0] not in _JPEG_BARE:
            place += int.from_bytes(data[place : place + 2], "big")
    return False


def _hides_pixels(image: np.ndarray | None) -> bool:
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return False
    return bool(image[..., 3].min() < np.iinfo(image.dtype).max)

"""Whether a file holds all of its picture: decoders fill what is missing with grey and only warn."""

from __future__ import annotations

import re

_JPEG_END = b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
_JPEG_BARE = frozenset(bytes([0xFF, code]) for code in (0x01, *range(0xD0, 0xD9)))  # those that no length follows


def is_cut_off(data: bytes, kind: str) -> bool:
    """Whether a JPEG or PNG lacks its end; other decoders see that themselves."""
    if kind == "jpeg":
        return not _has_jpeg_end(data)
    return kind == "png" and b"IEND" not in data


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

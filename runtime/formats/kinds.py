"""Which kind of picture a file is, by its first bytes, whatever its name."""

from __future__ import annotations

import re

MAX_MEGAPIXELS = 200.0  # of a picture file, unless the user says otherwise
HEAD_BYTES = 256  # what `kind_of` needs of a file

# The suffixes by which pictures are found in folders.
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
    | {".jp2", ".j2k", ".j2c", ".jpc", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".hdr", ".ras", ".sr"}
    | {".avif", ".avifs", ".heic", ".heif", ".hif"}
)

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"#?RADIANCE", "radiance"),
    (b"#?RGBE", "radiance"),
    (b"\x59\xa6\x6a\x95", "sun"),
)
_PORTABLE = re.compile(rb"P[1-7Ff][\s#]")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})


def kind_of(head: bytes) -> str | None:
    """The kind of a picture that begins with `head` (256 bytes, or all of a shorter file), None for anything else."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if _PORTABLE.match(head):
        return "float map" if head[1:2] in b"Ff" else "portable"
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    return None


def _iso_kind(head: bytes) -> str | None:
    end = min(len(head), max(16, int.from_bytes(head[:4], "big")))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    if head[8:12] in _AVIF_BRANDS or (head[8:12] in _HEIF_BRANDS and brands & _AVIF_BRANDS):
        return "avif"
    return "heif" if head[8:12] in _HEIF_BRANDS else None

"""What the header of a picture says, read before anything is decoded."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dpiqa.errors import InputError

if TYPE_CHECKING:
    from PIL import ImageFile

ORIENTATION = 0x0112
_PLUGINS = {  # opened by name, so that no other format's parser ever sees the file
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "jpeg2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "avif": ("AvifImagePlugin", "AvifImageFile"),
}
_SIZE_OF_RADIANCE = re.compile(rb"\n[-+][XY] (\d{1,9}) [-+][XY] (\d{1,9})\n")
_SIZE_OF_FLOAT_MAP = re.compile(rb"P[Ff]\s+(\d{1,9})\s+(\d{1,9})\s")
_WIDTH, _HEIGHT, _PHOTOMETRIC, _SUBFILE_TYPE, _ICC, _DNG_VERSION = 256, 257, 262, 254, 34675, 50706
_SEPARATED = 5  # CMYK


@dataclass(frozen=True, eq=False)
class Header:
    """Size in pixels as stored, orientation (1 to 8, as in EXIF), ICC profile, and Pillow's handle where it has one."""

    width: int
    height: int
    orientation: int = 1
    icc: bytes | None = None
    handle: ImageFile.ImageFile | None = None


def read_header(data: bytes, kind: str, name: str) -> Header:
    """Read the header of a picture of a kind of `kind_of`. Raises InputError if it is damaged or not supported."""
    try:
        if kind == "radiance":
            return _sized(_SIZE_OF_RADIANCE.search(data, 0, 65536))
        if kind == "float map":
            return _sized(_SIZE_OF_FLOAT_MAP.match(data))
        if kind == "sun":
            return Header(int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what it can do without
            if kind == "tiff":
                return _tiff(data)
            return _described(_heif(data) if kind == "heif" else _pillow(data, kind))
    except ImportError:
        raise InputError(
            f"{name}: HEIC needs the package 'pillow-heif', install it with: pip install '.[heic]'"
        ) from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception:  # a parser's errors for a damaged file share no base class
        raise InputError(f"{name}: cannot be decoded, its header is damaged") from None


def _sized(match: re.Match[bytes] | None) -> Header:
    if match is None:
        raise ValueError("no size")
    first, second = int(match[1]), int(match[2])
    return Header(second, first) if match.re is _SIZE_OF_RADIANCE else Header(first, second)


def _pillow(data: bytes, kind: str) -> Any:
    module, name = _PLUGINS[kind]
    return getattr(import_module(f"PIL.{module}"), name)(BytesIO(data))


def _heif(data: bytes) -> Any:
    return import_module("pillow_heif").HeifImageFile(BytesIO(data))


def _described(handle: ImageFile.ImageFile) -> Header:
    return Header(*handle.size, _orientation(handle.info.get("exif")), handle.info.get("icc_profile") or None, handle)


def _orientation(exif: bytes | None) -> int:
    if not exif:  # Pillow's own `getexif` would decode a PNG to look for more
        return 1
    from PIL import Image

    tags = Image.Exif()
    try:
        tags.load(exif)
        return _one_of_eight(tags.get(ORIENTATION))
    except Exception:  # damaged EXIF does not keep the picture from being shown
        return 1


def _one_of_eight(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tiff(data: bytes) -> Header:
    """The first directory, read without Pillow's picture, which does not know every kind of samples."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags: Any = ImageFileDirectory_v2(data[: 16 if data[2:3] == b"+" or data[3:4] == b"+" else 8])
    file = BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise InputError("a camera's raw file, develop it first: what it shows at once is only a preview")
    orientation, icc = _one_of_eight(tags.get(ORIENTATION)), tags.get(_ICC) or None
    needs_pillow = orientation != 1 or (icc and tags.get(_PHOTOMETRIC) == _SEPARATED)
    handle = None
    if needs_pillow:
        with suppress(SyntaxError):  # samples that Pillow does not know
            handle = _pillow(data, "tiff")
    return Header(int(tags[_WIDTH]), int(tags[_HEIGHT]), orientation, icc, handle)

"""What the header of a picture says, read before anything is decoded."""

from __future__ import annotations

import re
import warnings
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
_SUBFILE_TYPE, _DNG_VERSION = 254, 50706


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
            handle = _heif(data) if kind == "heif" else _pillow(data, kind)
            return _described(handle, kind)
    except ImportError:
        raise InputError(f"{name}: HEIC is read with pillow-heif: pip install '.[heic]' brings it") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception:  # a parser's errors for a damaged file share no base class
        raise InputError(f"{name}: cannot be decoded, its header is damaged") from None


def _sized(found: re.Match[bytes] | None) -> Header:
    if found is None:
        raise ValueError("no size")
    first, second = int(found[1]), int(found[2])
    return Header(second, first) if found.re is _SIZE_OF_RADIANCE else Header(first, second)


def _pillow(data: bytes, kind: str) -> Any:
    module, name = _PLUGINS[kind]
    return getattr(import_module(f"PIL.{module}"), name)(BytesIO(data))


def _heif(data: bytes) -> Any:
    return import_module("pillow_heif").HeifImageFile(BytesIO(data))


def _described(handle: ImageFile.ImageFile, kind: str) -> Header:
    if kind == "tiff":
        tags: Any = handle.tag_v2  # type: ignore[attr-defined]
        if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
            raise InputError("a camera's raw file, develop it first: what it shows at once is only a preview")
    try:
        orientation = int(handle.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF does not keep the picture from being shown
        orientation = 1
    icc = handle.info.get("icc_profile") or None
    return Header(*handle.size, orientation if 1 <= orientation <= 8 else 1, icc, handle)

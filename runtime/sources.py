"""From what a user names (files, folders, globs) to the pictures and videos meant."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.pictures import PICTURE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".y4m", ".mxf", ".ivf", ".h264", ".h265"}
)
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"P5", b"P6")


def expand(name: str | os.PathLike[str]) -> Iterator[str]:
    """The files that a name stands for, in order of their names.

    A file stands for itself. A folder stands for every picture and video in it and below it, known by their suffixes;
    other files and hidden ones are passed over. Anything else is a glob (`**` crosses folders) and stands for what it
    matches, each file once, as though each match had been typed. Raises InputError if nothing is found.
    """
    name = os.fspath(name)
    try:
        yield from _found(name)
    except OSError as error:
        raise unreadable(name, error) from None


def _found(name: str) -> Iterator[str]:
    if Path(name).is_dir():
        found = _walk(name)
        first = next(found, None)
        if first is None:
            raise InputError(f"{name}: no picture or video in this folder")
        yield first
        yield from found
    elif Path(name).exists():
        yield name
    elif not glob.has_magic(name):
        raise InputError(f"{name}: no such file or folder")
    else:
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{name}: matches no file")
        files = (file for match in matches for file in (_walk(match) if Path(match).is_dir() else (match,)))
        yield from {Path(file): file for file in files}.values()  # `**` matches a folder and what is in it


def is_video(path: str) -> bool:
    """Whether a file is to be decoded as video rather than as a picture: by its suffix, else by its first bytes.

    Raises InputError for a missing or unreadable file. A file that is neither is taken for a video, and refused when it
    is opened.
    """
    suffix = Path(path).suffix.lower()
    try:
        if not Path(path).is_file():
            raise InputError(f"{path}: not a file" if Path(path).exists() else f"{path}: no such file")
        if suffix in PICTURE_SUFFIXES or suffix in VIDEO_SUFFIXES:
            return suffix in VIDEO_SUFFIXES
        with Path(path).open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise unreadable(path, error) from None
    return not (head.startswith(_PICTURE_STARTS) or head[8:] == b"WEBP")


def _walk(folder: str) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if not name.startswith(".") and (suffix in PICTURE_SUFFIXES or suffix in VIDEO_SUFFIXES):
                yield str(Path(root, name))

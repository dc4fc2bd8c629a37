"""From what a user names (files, folders, globs) to the pictures and videos meant."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.formats.kinds import HEAD_BYTES, PICTURE_SUFFIXES, kind_of

log = logging.getLogger(__name__)

STDIN = "-"
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".y4m", ".mxf", ".ivf", ".h264", ".h265", ".hevc", ".m2v", ".vob", ".dv", ".mjpg", ".mjpeg"}
)
_BARE_JPEGS = frozenset({".mjpg", ".mjpeg"})  # one after the other, so that the first looks like a picture


@dataclass
class PassedOver:
    """What folders hold and `expand` leaves: the number of files by suffix, and the folders that cannot be read."""

    suffixes: Counter[str] = field(default_factory=Counter)
    unreadable: list[InputError] = field(default_factory=list)

    def __str__(self) -> str:
        """Such as `passed over 5 files: .heic 3, .dng 2`; empty where there are none."""
        total = self.suffixes.total()
        if not total:
            return ""
        shares = ", ".join(f"{suffix} {count}" for suffix, count in self.suffixes.most_common())
        return f"passed over {total} file{'s' if total > 1 else ''}: {shares}"


def expand(name: str | os.PathLike[str], passed_over: PassedOver | None = None) -> Iterator[str]:
    """The files that a name stands for, in order of their names.

    A file stands for itself, `-` for standard input. A folder stands for every picture and video in it and below it,
    known by their suffixes; hidden files are passed over in silence, others are counted in `passed_over`, or logged
    where that is None. Anything else is a glob (`**` crosses folders) and stands for what it matches, each file once,
    as though each match had been typed. Raises InputError if nothing is found, and at a folder below that cannot be
    read unless `passed_over` takes it.
    """
    name = os.fspath(name)
    passed = PassedOver() if passed_over is None else passed_over
    try:
        for file in _files_of(name, passed):
            if passed_over is None and passed.unreadable:
                raise passed.unreadable[0]
            yield file
    except OSError as error:
        raise unreadable(name, error) from None
    if passed_over is None:
        if passed.unreadable:
            raise passed.unreadable[0]
        if passed.suffixes:
            log.info("%s: %s", name, passed)


def _files_of(name: str, passed: PassedOver) -> Iterator[str]:
    if name == STDIN:
        yield name
        return
    if Path(name).is_dir():
        files = _walk(name, passed)
        first = next(files, None)
        if first is None and passed.unreadable:
            return
        if first is None:
            rest = f", {passed}" if passed.suffixes else ""
            passed.suffixes.clear()
            raise InputError(f"{name}: no picture or video in this folder{rest}")
        yield first
        yield from files
    elif Path(name).exists():
        yield name
    elif not glob.has_magic(name):
        raise InputError(f"{name}: no such file or folder")
    else:
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{name}: matches no file")
        files = (file for match in matches for file in (_walk(match, passed) if Path(match).is_dir() else (match,)))
        yield from {Path(file): file for file in files}.values()  # `**` matches a folder and what is in it


def is_video(path: str) -> bool:
    """Whether a file is to be decoded as video rather than as a picture: by its first bytes, else by its suffix.

    Raises InputError for a missing or unreadable file. A file that is neither is taken for a video, and refused when it
    is opened.
    """
    if path == STDIN:
        return True
    suffix = Path(path).suffix.lower()
    try:
        if not Path(path).is_file():
            raise InputError(f"{path}: not a file" if Path(path).exists() else f"{path}: no such file")
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    if kind_of(head) is not None and suffix not in _BARE_JPEGS:
        return False
    return suffix not in PICTURE_SUFFIXES


def _walk(folder: str, passed: PassedOver) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        passed.unreadable.append(unreadable(error.filename or folder, error))

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(root, name)):  # noqa: PTH114, PTH118 - not followed, it may lead back
                passed.suffixes["linked folders"] += 1
        for name in sorted(names):
            if name.startswith("."):
                continue
            suffix = Path(name).suffix.lower()
            if suffix in PICTURE_SUFFIXES or suffix in VIDEO_SUFFIXES:
                yield str(Path(root, name))
            else:
                passed.suffixes[suffix or "without suffix"] += 1

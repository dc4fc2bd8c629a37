"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from dpiqa.errors import InputError, system_reason


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when the block ends well; on any exception nothing is left behind.

    A device or a pipe is written directly. Raises InputError at once if the place cannot be written to.
    """
    target = Path(path).resolve()
    is_special = target.exists() and not target.is_file() and not target.is_dir()
    part = target if is_special else target.with_name(f".{target.name}.{token_hex(4)}.part")
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        file = part.open("wb" if is_special else "xb")
    except OSError as error:
        raise InputError(f"{path}: cannot be written, {system_reason(error)}") from None
    try:
        with _naming(path), file:
            yield file
        if not is_special:
            part.replace(target)
    except BaseException:
        if not is_special:
            part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder that appears under its name only when the block ends well; on any exception nothing is left behind.

    The folders above it are made as needed. Raises InputError at once if it is there already or cannot be made.
    """
    target = Path(path).resolve()
    if target.exists():
        raise InputError(f"{path}: is there already, remove it or choose another name")
    part = target.with_name(f".{target.name}.{token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be written, {system_reason(error)}") from None
    try:
        with _naming(path):
            yield part
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in the error of a full disk: the system names none, or the one that was copied."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = os.fspath(path)
        raise

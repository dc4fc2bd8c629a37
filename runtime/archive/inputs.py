"""From what a user names (a folder, a glob, a list, a column of Parquet) to the URIs of pictures and videos meant."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from dpiqa.errors import InputError
from dpiqa.runtime.archive.store import filesystem, is_local, local_path, named
from dpiqa.runtime.formats.kinds import PICTURE_SUFFIXES
from dpiqa.runtime.sources import VIDEO_SUFFIXES, expand

_COLUMN = re.compile(r"(?P<file>.+\.parquet):(?P<column>[^/]+)")


def suffix_of(uri: str) -> str:
    """The suffix of a path or URL in lower case, such as `.jpg`, without what follows a URL's `?`."""
    path = uri if is_local(uri) else urlsplit(uri).path
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a URL is no path


def inputs(name: str) -> Iterator[str]:
    """The URIs that a name stands for; those of this machine are absolute paths.

    `FILE.parquet:COLUMN` (the file may be a glob) stands for the paths and URLs in a column, `FILE.txt` for one a line;
    blank ones are passed over, and what they name is not looked at. A folder stands for the pictures and videos in it
    and below it, known by their suffixes, a glob for what it matches, anything else for itself. Raises InputError.
    """
    if column := _COLUMN.fullmatch(name):
        yield from map(absolute, _column(column["file"], column["column"]))
    elif name.endswith(".parquet"):
        raise InputError(f"{name}: name the column that holds the paths or URLs, as in {name}:uri")
    elif name.endswith(".txt"):
        yield from map(absolute, _lines(name))
    elif is_local(name):
        yield from map(absolute, expand(local_path(name)))
    else:
        yield from _remote(name)


def absolute(uri: str) -> str:
    """A path of this machine as other processes can use it; any other URI as it is."""
    return os.path.abspath(local_path(uri)) if is_local(uri) else uri  # noqa: PTH100 - `..` behind a link stays


def _lines(name: str) -> Iterator[str]:
    with named(name):
        fs, path = filesystem(name)
        with fs.open(path, "rb") as file:
            yield from (os.fsdecode(line.strip()) for line in file if line.strip())


def _column(name: str, column: str) -> Iterator[str]:
    import pyarrow.parquet as pq

    with named(name):
        fs, path = filesystem(name)
        files = sorted(fs.glob(path)) if glob.has_magic(path) else [path]
        if not files:
            raise InputError(f"{name}: matches no file")
        for file in files:
            with fs.open(file, "rb") as stream:
                table = pq.ParquetFile(stream)
                if column not in table.schema_arrow.names:
                    columns = ", ".join(table.schema_arrow.names)
                    raise InputError(f"{file}: has no column '{column}', its columns are {columns}")
                for batch in table.iter_batches(columns=[column]):
                    values = batch.column(0).to_pylist()
                    if not all(isinstance(value, str | None) for value in values):
                        raise InputError(f"{file}: column '{column}' holds no text")
                    yield from (value for value in values if value)


def _remote(name: str) -> Iterator[str]:
    if name.startswith(("http://", "https://")):
        yield name
        return
    with named(name):
        fs, path = filesystem(name)
        if glob.has_magic(path):
            files = sorted(fs.glob(path))
        elif fs.isdir(path):
            files = _walk(fs, path)
        elif fs.exists(path):
            files = [path]
        else:
            raise InputError(f"{name}: no such file, folder or bucket")
        empty = True
        for file in files:
            empty = False
            yield fs.unstrip_protocol(file)
        if empty:
            raise InputError(f"{name}: no picture or video there")


def _walk(fs: object, folder: str) -> Iterator[str]:
    for root, folders, names in fs.walk(folder):  # type: ignore[attr-defined]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and suffix_of(name) in PICTURE_SUFFIXES | VIDEO_SUFFIXES:
                yield f"{root.rstrip('/')}/{name}"

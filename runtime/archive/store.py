"""Where archives lie: anything that fsspec opens, such as a folder, S3, GCS, Azure or HTTP."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fsspec

from dpiqa.errors import DpiqaError, InputError, system_reason
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.reading import printable

_READ_BYTES = 1 << 20  # at a time: what is read of a file here are its ends and small pieces
# What is wrong with the machine or its settings, whatever is asked for.
_OF_THE_MACHINE = {
    "NoCredentialsError": "no credentials for it on this machine",
    "PartialCredentialsError": "no whole credentials for it on this machine",
    "EndpointConnectionError": "its endpoint cannot be reached",
}


def is_local(uri: str) -> bool:
    """Whether a path or URL is one of this machine's file system."""
    return "://" not in uri or uri.startswith(("file://", "local://"))


def local_path(uri: str) -> str:
    """The path of a local URI."""
    return uri.partition("://")[2] if "://" in uri else uri


def filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the URI's path there."""
    return fsspec.core.url_to_fs(uri)


@contextmanager
def named(uri: str) -> Iterator[None]:
    """Turn whatever a storage library raises into one line that begins with the URI.

    An InputError, or a DpiqaError where nothing can be read or written: no credentials, no connection, a full disk.
    """
    try:
        yield
    except DpiqaError:
        raise
    except Exception as error:  # every library has its own
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = DpiqaError if full or type(error).__name__ in _OF_THE_MACHINE else InputError
        raise kind(f"{printable(uri)}: {_storage_reason(error)}") from None


def _storage_reason(error: Exception) -> str:
    if reason := _OF_THE_MACHINE.get(type(error).__name__):
        return reason
    if isinstance(error, FileNotFoundError):
        return "the bucket does not exist" if "bucket" in str(error) else "no such file"
    if isinstance(error, OSError) and error.strerror:
        return system_reason(error)
    return " ".join(str(error).split())[:200] or type(error).__name__


class Store(NamedTuple):
    """A folder for files that appear whole or not at all.

    It lies on this machine, on a file system that all workers share, or in an object store.
    """

    url: str

    def uri(self, name: str) -> str:
        """The URI of a file in it."""
        return f"{self.url.rstrip('/')}/{name}"

    def names(self) -> set[str]:
        """The names of the files in it, hidden ones aside; none where it does not exist. Raises InputError."""
        with named(self.url):
            fs, path = filesystem(self.url)
            fs.invalidate_cache()
            if fs.isfile(path):
                raise InputError(f"{self.url}: is a file, --out is a folder")
            try:
                names = {entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(path, detail=False)}
            except FileNotFoundError:
                return set()
            return {name for name in names if name and not name.startswith(".")}

    def sweep(self) -> None:
        """Remove what killed workers left half-written: hidden files, and none in an object store."""
        if is_local(self.url):
            for part in Path(local_path(self.url)).glob(".*.part"):
                part.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """The content of a file. Raises InputError."""
        with named(self.uri(name)):
            fs, path = filesystem(self.uri(name))
            return fs.cat_file(path)

    def open(self, name: str) -> Any:
        """A file for reading at any place. Raises InputError."""
        with named(self.uri(name)):
            fs, path = filesystem(self.uri(name))
            return fs.open(path, "rb", block_size=_READ_BYTES)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to, which appears when the block ends well, in place of one of that name.

        Raises InputError where it cannot be written, and OSError where the disk is full.
        """
        uri = self.uri(name)
        if is_local(uri):
            path = Path(local_path(uri))
            with named(self.url):
                path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                yield file
            return
        with tempfile.TemporaryDirectory(prefix="dpiqa-") as folder:
            with Path(folder, name).open("wb") as file:
                yield file
            with named(uri):
                fs, target = filesystem(uri)
                fs.put_file(str(Path(folder, name)), target)

"""A folder that something else puts pictures into."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter, sleep

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.monitor.settings.cameras import CameraConfig
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.pictures import PICTURE_SUFFIXES, read_picture

log = logging.getLogger(__name__)

_POLL_S = 0.2
_PATIENCE_S = 5.0  # for a picture that is still being written
_Version = tuple[str, int, int]  # a file's name, its size and when it was changed


def watch_folder(camera: CameraConfig) -> Generator[Grab | None, None, None]:
    """See open_source: every picture that appears in the folder or is replaced there from now on, oldest first.

    Yields None where there is nothing new. A picture that cannot be read is tried again while it may be growing, then
    logged and passed over. Raises InputError when the folder is gone.
    """
    known, tried = set(_versions(camera.source)), {}
    while True:
        present = _versions(camera.source)
        known &= set(present)
        names = {name for name, _, _ in present}
        tried = {name: since for name, since in tried.items() if name in names}
        for version in present:
            if version in known:
                continue
            began, path = perf_counter(), str(Path(camera.source, version[0]))
            try:
                image = read_picture(path)
            except InputError as error:
                if monotonic() - tried.setdefault(version[0], monotonic()) < _PATIENCE_S:
                    continue
                log.warning("%s: %s", camera.label, error)
            else:
                yield Grab(partial(lambda image: image, image), None, perf_counter() - began)
            known.add(version)
            tried.pop(version[0], None)
        yield None
        sleep(_POLL_S)


def _versions(folder: str) -> list[_Version]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise unreadable(folder, error) from None
    versions = []
    for name in names:
        if Path(name).suffix.lower() in PICTURE_SUFFIXES:
            with suppress(FileNotFoundError):
                stat = Path(folder, name).stat()
                versions.append((name, stat.st_size, stat.st_mtime_ns))
    return sorted(versions, key=lambda version: (version[2], version[0]))

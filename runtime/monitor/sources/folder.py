"""A folder into which something else puts pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter, sleep

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.pictures import PICTURE_SUFFIXES, read_picture

log = logging.getLogger(__name__)

_POLL_S = 0.2
_PATIENCE_S = 5.0  # for a picture still being written
_Version = tuple[str, int, int]  # a file's name, size and modification time


def watch_folder(camera: CameraSettings) -> Generator[Grab | None, None, None]:
    """See open_source: every picture added to the folder or replaced there from now on, oldest first.

    Yields None while there is nothing new. A picture that cannot be read is retried while it may still be growing, then
    logged and skipped. Raises InputError if the folder disappears.
    """
    processed, failing_since = set(_versions(camera.source)), {}
    while True:
        present = _versions(camera.source)
        processed &= set(present)
        names = {name for name, _, _ in present}
        failing_since = {name: since for name, since in failing_since.items() if name in names}
        for version in present:
            if version in processed:
                continue
            began, path = perf_counter(), str(Path(camera.source, version[0]))
            try:
                image = read_picture(path)
            except InputError as error:
                if monotonic() - failing_since.setdefault(version[0], monotonic()) < _PATIENCE_S:
                    continue
                log.warning("%s: %s", camera.label, error)
            else:
                yield Grab(partial(lambda image: image, image), None, perf_counter() - began)
            processed.add(version)
            failing_since.pop(version[0], None)
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

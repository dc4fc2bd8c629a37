"""Notices that the file of a history is no longer the one that was opened."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from dpiqa.errors import system_reason

_MAGIC = b"SQLite format 3\0"


class OpenedFile:
    """Holds the file of a database open beside it, and creates one where there is none, readable by its owner only.

    It must be closed after the database: closing any descriptor of a file releases all locks that this process has on
    it, SQLite's too, and another process that reads the database would then take it for abandoned.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._descriptor).st_uid == os.geteuid():
            os.fchmod(self._descriptor, 0o600)

    def missing_reason(self) -> str | None:
        """What has become of the file since it was opened, None where it is as it was."""
        if self._descriptor < 0:
            return "could not be opened"
        opened = os.fstat(self._descriptor)
        try:
            now = self._path.stat()
            head = os.pread(self._descriptor, len(_MAGIC), 0)
        except OSError as error:
            return f"is gone ({system_reason(error)})"
        if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
            return "was replaced"
        return None if head == _MAGIC else "is damaged (not a database)"

    def close(self) -> None:
        """Release the file; more than once does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def set_aside(path: Path) -> Path | None:
    """Rename what lies in the place of a history, with the files beside it; returns the new name, None for nothing."""
    # With microseconds: a clock that was set back must not make it replace another one.
    aside = path.with_name(f"{path.name}.{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}.aside")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside if aside.exists() else None

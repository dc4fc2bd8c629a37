"""Notices that the file of a history is no longer the one that was opened."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from dpiqa.errors import system_reason

_MAGIC = b"SQLite format 3\0"


def missing_reason(path: Path, opened: os.stat_result) -> str | None:
    """What has become of a file since it was opened, None where it is as it was."""
    try:
        now = path.stat()
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        return f"is gone ({system_reason(error)})"
    if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
        return "was replaced"
    return None if head == _MAGIC else "is damaged (not a database)"


def set_aside(path: Path) -> Path | None:
    """Rename what lies in the place of a history, with the files beside it; returns the new name, None for nothing."""
    aside = path.with_name(f"{path.name}.{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}.aside")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside if aside.exists() else None

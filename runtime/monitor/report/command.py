"""What `dpiqa report` does."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from runtime.errors import InputError
from runtime.monitor.archive import Archive

from .figures import figures, held
from .page import write_report
from .period import chosen_period, told


def report(history: Path, since: str | None, until: str | None, last: str | None, out: Path) -> str:
    """Write the report of a period, see `chosen_period`; returns what to tell. Raises InputError."""
    archive = Archive(history)
    if out.resolve() == history.resolve():
        raise InputError(f"--out {out}: is the history itself, choose another name")
    try:
        found = figures(archive, *chosen_period(since, until, last, held(archive), time.time()))
        write_report(found, archive, out)
    except sqlite3.Error as error:
        raise InputError(f"{history}: cannot be read ({error})") from None
    cameras = f"{len(found.cameras)} camera{'s' if len(found.cameras) != 1 else ''}"
    return f"{out}: {cameras}, {len(found.events)} events, {told(found.since)} to {told(found.until)}"

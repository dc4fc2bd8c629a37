"""What `dpiqa report` does."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.period import chosen_period, told
from dpiqa.runtime.monitor.history.statistics import figures, held
from dpiqa.runtime.monitor.report.page import write_report


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

"""Implements `dpiqa report`."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.period import format_time, select_period
from dpiqa.runtime.monitor.history.report_metrics import covered_period, report_metrics
from dpiqa.runtime.monitor.report.page import write_report
from dpiqa.runtime.monitor.settings.maintenance import time_zone


def report(
    history: Path, since: str | None, until: str | None, last: str | None, zone_name: str | None, out: Path
) -> str:
    """Write the report of a period (see `select_period`) and return a one-line summary. Raises InputError.

    `zone_name` is the IANA name of the time zone of all its times, None for the machine's.
    """
    archive = Archive(history)
    try:
        zone = None if zone_name is None else time_zone(zone_name)
    except ValueError as error:
        raise InputError(f"--time-zone: {error}") from None
    if out.resolve() == history.resolve():
        raise InputError(f"--out {out}: is the history itself, choose another file name")
    try:
        period = select_period(since, until, last, covered_period(archive), time.time(), zone)
        metrics = report_metrics(archive, *period, zone)
        write_report(metrics, archive, out)
    except sqlite3.Error as error:
        raise InputError(f"{history}: cannot be read ({error})") from None
    cameras = f"{len(metrics.cameras)} camera{'s' if len(metrics.cameras) != 1 else ''}"
    events = f"{len(metrics.events)} event{'s' if len(metrics.events) != 1 else ''}"
    began, ended = (format_time(seconds, zone) for seconds in (metrics.since, metrics.until))
    return f"{out}: {cameras}, {events}, {began} to {ended}"

"""The period of a report."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dpiqa.errors import InputError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def select_period(
    since: str | None,
    until: str | None,
    last: str | None,
    covered: tuple[float, float],
    now: float,
    zone: ZoneInfo | None = None,
) -> tuple[float, float]:
    """Start and end of the requested period, Unix seconds; by default that `covered` by the history.

    `since` and `until` are ISO 8601 dates, in `zone` (None: local time) unless they give an offset; `last` is a length
    such as 90m, 24h, 7d or 2w that ends at `until`, or now. Raises InputError for what cannot be parsed, and for a
    period that does not end after it starts.
    """
    if since is not None and last is not None:
        raise InputError("--last: cannot be combined with --since, use only one of them")
    end = _date("--until", until, zone) if until is not None else now if last is not None else covered[1] + 1
    if last is not None:
        start = end - _length(last)
    else:
        start = _date("--since", since, zone) if since is not None else min(covered[0], end - 1)
    if start >= end:
        raise InputError(f"--since {since}: is not before the end of the period, {format_time(end, zone)}")
    return start, end


def format_time(seconds: float, zone: ZoneInfo | None = None) -> str:
    """Unix seconds as date and time in `zone` (None: local time), to the minute."""
    return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M}"


def _date(flag: str, text: str, zone: ZoneInfo | None) -> float:
    try:
        date = datetime.fromisoformat(text)
        return (date.replace(tzinfo=zone) if date.tzinfo is None else date).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{flag} {text}: expected a date such as 2026-11-24 or 2026-11-24T18:30") from None


def _length(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhdw])", text)
    if match is None or float(match[1]) == 0:
        raise InputError(f"--last {text}: expected a length such as 90m, 24h, 7d or 2w")
    return timedelta(**{_UNITS[match[2]]: float(match[1])}).total_seconds()

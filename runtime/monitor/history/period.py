"""Which period a report is about."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from dpiqa.errors import InputError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def chosen_period(
    since: str | None, until: str | None, last: str | None, held: tuple[float, float], now: float
) -> tuple[float, float]:
    """Begin and end, Unix seconds, of what was asked for; all that the history holds where nothing was.

    `since` and `until` are dates in ISO 8601, local time unless they say otherwise; `last` is a length such as 90m,
    24h, 7d or 2w that ends at `until`, or now. Raises InputError for what cannot be read, and for a period that does
    not end after it begins.
    """
    if since is not None and last is not None:
        raise InputError("--last: cannot be combined with --since, leave one of them out")
    end = _date("--until", until) if until is not None else now if last is not None else held[1] + 1
    if last is not None:
        begin = end - _length(last)
    else:
        begin = _date("--since", since) if since is not None else min(held[0], end - 1)
    if begin >= end:
        raise InputError(f"--since {since}: is not before the end, {told(end)}")
    return begin, end


def told(seconds: float) -> str:
    """A time in Unix seconds as people write it, local time."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _date(flag: str, text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{flag} {text}: expected a date such as 2026-11-24 or 2026-11-24T18:30") from None


def _length(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhdw])", text)
    if found is None or float(found[1]) == 0:
        raise InputError(f"--last {text}: expected a length such as 90m, 24h, 7d or 2w")
    return timedelta(**{_UNITS[found[2]]: float(found[1])}).total_seconds()

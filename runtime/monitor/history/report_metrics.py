"""The metrics of a report, computed from the history."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.archive import Archive, Curve, PastEvent
from dpiqa.runtime.monitor.history.period import format_time
from dpiqa.runtime.monitor.history.schema import HEARTBEAT_S
from dpiqa.runtime.monitor.snapshots import HOUR_S
from dpiqa.runtime.reading import BANDS

_POINTS = 400
_MAX_EVENTS = 1000
_MAX_WORST = 12
_SILENCE_S = 1.2 * HEARTBEAT_S


def _band_limits() -> Iterator[tuple[float, float, str]]:
    low = 0.0
    for high, name in BANDS:
        yield low, high if high < 100 else 101, name
        low = high


_BAND_COLUMNS = ", ".join(  # minutes of an earlier version have no counts by band: their mean stands for them
    f"total(coalesce(1.0 * {name} / readings, sum / readings >= {low} AND sum / readings < {high}))"
    for low, high, name in _band_limits()
)
_SCORES = f"""SELECT source, count(*), sum(sum) / sum(readings), min(low), {_BAND_COLUMNS}
    FROM minutes WHERE minute >= :since / 60 AND minute < :until / 60 GROUP BY source"""
_QUARTERS = """SELECT source, minute / 15 * 900, sum(sum), sum(readings) FROM minutes
    WHERE minute >= :since / 60 AND minute < :until / 60
    GROUP BY source, minute / 15"""  # no zone's offset is any finer
_STATES = """SELECT source, wall_time, state, reconnects, dropped FROM statuses
    WHERE wall_time >= :since AND wall_time < :until ORDER BY source, wall_time"""
_BEFORE = """SELECT source, wall_time, state, reconnects, dropped FROM statuses
    WHERE source = ? AND wall_time < ? ORDER BY wall_time DESC LIMIT 1"""
_LAST_READING = "SELECT 60.0 * (max(minute) + 1) FROM minutes WHERE source = ? AND minute >= ? / 60 AND minute < ? / 60"
_WORST_FRAMES = """SELECT source, wall_time, score, thumbnail FROM worst
    WHERE hour >= :since / :hour_s - 1 AND hour <= :until / :hour_s
    AND wall_time >= :since AND wall_time < :until ORDER BY score LIMIT :most"""
_COVERED = """SELECT min(first), max(last) FROM (
    SELECT min(minute) * 60 AS first, max(minute) * 60 + 60 AS last FROM minutes
    UNION ALL SELECT min(wall_time), max(wall_time) FROM statuses
    UNION ALL SELECT min(began), max(coalesce(ended, began)) FROM events
)"""

State = tuple[str, float, str, int, int]  # source, wall_time, state, reconnects, dropped


@dataclass
class CameraMetrics:
    """One camera over the period.

    `watched` is the fraction of the period during which it was monitored, `up` the fraction of that time with frames,
    None if it was never monitored. `bands` are the fractions of its time in the five bands, `hours` the mean score
    of each hour of the day, None for hours without any.
    """

    source: str
    watched: float = 0.0
    up: float | None = None
    reconnects: int = 0
    dropped: int = 0
    mean: float | None = None
    lowest: float | None = None
    bands: list[float] = field(default_factory=lambda: [0.0] * len(BANDS))
    hours: list[float | None] = field(default_factory=lambda: [None] * 24)
    events: Counter[str] = field(default_factory=Counter)
    curve: Curve = field(default_factory=lambda: Curve(60))


@dataclass(frozen=True)
class WorstFrame:
    """One of the frames with the lowest scores, at most one per camera and hour."""

    source: str
    wall_time: float
    score: float
    jpeg: bytes


@dataclass(frozen=True)
class ReportMetrics:
    """The content of a report; cameras, events and frames that deserve attention come first."""

    since: float
    until: float
    cameras: list[CameraMetrics]
    events: list[PastEvent]
    worst: list[WorstFrame]
    zone: ZoneInfo | None = None  # None: local time


def covered_period(archive: Archive) -> tuple[float, float]:
    """The first and last time in a history, Unix seconds. Raises InputError if it is empty."""
    with archive.open() as db:
        first, last = db.execute(_COVERED).fetchone()
    if first is None:
        raise InputError(f"{archive.path}: the history is empty, nothing to report")
    return first, last


def report_metrics(archive: Archive, since: float, until: float, zone: ZoneInfo | None = None) -> ReportMetrics:
    """The metrics of a period, with hours in `zone` (None: local time). Raises InputError if there is nothing in it."""
    cameras: dict[str, CameraMetrics] = {}

    def camera_metrics(source: str) -> CameraMetrics:
        return cameras.setdefault(source, CameraMetrics(source))

    period = {"since": since, "until": until}
    with archive.open() as db:
        for source, minutes, mean, lowest, *bands in db.execute(_SCORES, period):
            camera = camera_metrics(source)
            camera.mean, camera.lowest, camera.bands = mean, lowest, [count / minutes for count in bands]
        for (source, hour), mean in _hours(db.execute(_QUARTERS, period), zone).items():
            camera_metrics(source).hours[hour] = mean
        _add_states(db, camera_metrics, since, until)
        worst = [
            WorstFrame(*row) for row in db.execute(_WORST_FRAMES, {**period, "hour_s": HOUR_S, "most": _MAX_WORST})
        ]
    events = archive.events(since, until, limit=_MAX_EVENTS)
    for event in events:
        camera_metrics(event.source).events[event.kind] += 1
    for source, curve in archive.curves(since, until, _POINTS).items():
        camera_metrics(source).curve = curve
    if not cameras:
        first, last = covered_period(archive)
        raise InputError(
            f"{archive.path}: nothing from {format_time(since, zone)} to {format_time(until, zone)}, "
            f"the history covers {format_time(first, zone)} to {format_time(last, zone)}"
        )
    worst_first = sorted(cameras.values(), key=lambda camera: (_is_always_up(camera), camera.mean or 0))
    return ReportMetrics(since, until, worst_first, events, worst, zone)


def _hours(quarters: Iterable[tuple[str, int, float, int]], zone: ZoneInfo | None) -> dict[tuple[str, int], float]:
    """The mean score by source and hour of the day, from sums over quarters of an hour."""
    sums: dict[tuple[str, int], tuple[float, int]] = {}
    for source, began, total, count in quarters:
        hour = source, datetime.fromtimestamp(began, zone).hour
        before = sums.get(hour, (0.0, 0))
        sums[hour] = before[0] + total, before[1] + count
    return {hour: total / count for hour, (total, count) in sums.items()}


def _is_always_up(camera: CameraMetrics) -> bool:
    return camera.up is not None and camera.up > 0.999


def _add_states(
    db: sqlite3.Connection, camera_metrics: Callable[[str], CameraMetrics], since: float, until: float
) -> None:
    rows: list[State] = db.execute(_STATES, {"since": since, "until": until}).fetchall()
    for source, group in itertools.groupby(rows, key=lambda row: row[0]):
        states = list(group)
        earlier: list[State] = db.execute(_BEFORE, (source, since)).fetchall()
        camera = camera_metrics(source)
        camera.reconnects, camera.dropped = (_growth(earlier, states, column) for column in (3, 4))
        seconds = _seconds_by_state(db, [*earlier, *states], since, until)
        total_s = sum(seconds.values()) - seconds["ended"]
        camera.watched = min(1.0, total_s / (until - since))
        camera.up = seconds["up"] / total_s if total_s else None


def _seconds_by_state(db: sqlite3.Connection, rows: Sequence[State], since: float, until: float) -> dict[str, float]:
    """Seconds in each state. A state lasts until the next, but no longer than there is evidence of monitoring."""
    seconds: dict[str, float] = defaultdict(float)
    for row, after in itertools.zip_longest(rows, rows[1:]):
        source, began, state = row[:3]
        end = min(until, after[1] if after else until)
        if end - began > _SILENCE_S:
            (last,) = db.execute(_LAST_READING, (source, began, end)).fetchone() if state == "up" else (None,)
            end = min(end, max(began + _SILENCE_S, last or 0.0))
        seconds[state] += max(0.0, end - max(began, since))
    return seconds


def _growth(before: Sequence[State], rows: Sequence[State], column: int) -> int:
    """Growth of a count that restarts at 0 with the monitor."""
    counts = [0 if not before else int(before[0][column]), *(int(row[column]) for row in rows)]
    return sum(new - old if new >= old else new for old, new in itertools.pairwise(counts))

"""Queries the history: curves and events of a period, reduced by SQLite to what a chart can show."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.schema import SIGNALS, VERSION

_FINE_S = 2 * 3600.0  # up to this length, curves come from single readings, beyond it from minutes
_SOURCES = """names (source) AS (
    SELECT min(source) FROM minutes
    UNION ALL SELECT (SELECT min(source) FROM minutes WHERE source > names.source) FROM names
    WHERE names.source IS NOT NULL
)"""
_STEPS = """steps (start) AS (
    SELECT :since UNION ALL SELECT start + :step FROM steps WHERE start + :step < :until
)"""
# One index range per step, its values packed: GROUP BY would sort the same rows, ten times slower.
_COARSE = f"""WITH RECURSIVE {_SOURCES}, {_STEPS} SELECT source, (
    SELECT json_array(60 * avg(minute) + 30, sum(sum) / sum(readings), min(low), max(high)) FROM minutes
    WHERE source = names.source AND minute >= start / 60 AND minute < (start + :step) / 60
) FROM names CROSS JOIN steps WHERE source IS NOT NULL AND (:source IS NULL OR source = :source)"""
_FINE = f"""WITH RECURSIVE {_STEPS} SELECT :source, (
    SELECT json_array(avg(wall_time), avg(score), min(score), max(score)) FROM readings
    WHERE source = :source AND wall_time >= start AND wall_time < start + :step
) FROM steps"""
# One frame per step: averaging a week of signals would read millions of rows.
_DETAILS = f"""WITH RECURSIVE {_STEPS}
SELECT wall_time, baseline, causes, {", ".join(SIGNALS)} FROM steps JOIN readings ON readings.rowid = (
    SELECT rowid FROM readings WHERE source = :source AND wall_time >= start AND wall_time < start + :step
    ORDER BY wall_time LIMIT 1
)"""
_EVENTS = """SELECT rowid, source, kind, began, ended, evidence, thumbnail IS NOT NULL FROM events
    WHERE began < :until AND (ended IS NULL OR ended >= :since) AND (:source IS NULL OR source = :source)
    ORDER BY began DESC LIMIT :limit"""


@dataclass(frozen=True)
class Curve:
    """Scores, 0 to 100, over Unix seconds: the mean, lowest and highest of each step of `step_s`."""

    step_s: float
    times: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Details:
    """Baseline, signals and causes of one frame in each step: times in Unix seconds, and a value or None for each.

    Signals and causes are by name; the baseline is a score from 0 to 100. For units see Signals and LiveReading.
    """

    times: list[float]
    baseline: list[float | None]
    signals: dict[str, list[float | None]]
    causes: dict[str, list[float | None]]


@dataclass(frozen=True)
class PastEvent:
    """An event of the history with its row number; times are Unix seconds, `ended` is None while it lasts."""

    number: int
    source: str
    kind: str
    began: float
    ended: float | None
    evidence: dict[str, float | str]
    has_thumbnail: bool


class Archive:
    """Reads a history that a monitor may be writing; thread-safe.

    Raises InputError for a file that is not a history of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: {'it is a folder' if path.is_dir() else 'no such file'}, expected a history")
        try:
            with self.open() as db:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                (tables,) = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'minutes'").fetchone()
        except sqlite3.Error as error:
            raise InputError(f"{path}: not a history ({error})") from None
        if not tables or version > VERSION:
            raise InputError(f"{path}: not a history of this version of dpiqa monitor")
        if version < VERSION:
            raise InputError(
                f"{path}: a history of version {version}, run dpiqa monitor --sqlite {path} ... to upgrade it"
            )

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """A new read-only connection."""
        with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            yield db

    def curves(self, since: float, until: float, points: int, source: str | None = None) -> dict[str, Curve]:
        """The scores of one source or all, by source, in at most about `points` steps of a minute or more."""
        step_s = max(60.0, (until - since) / points)
        return self._curves(_COARSE, step_s, {"since": since, "until": until, "source": source})

    def curve(self, source: str, since: float, until: float, points: int) -> Curve:
        """The scores of a source in at most about `points` steps; single readings for a short period."""
        if until - since > _FINE_S:
            curves = self.curves(since, until, points, source)
        else:
            parameters = {"since": since, "until": until, "source": source}
            curves = self._curves(_FINE, (until - since) / points, parameters)
        return curves.get(source, Curve((until - since) / points))

    def details(self, source: str, since: float, until: float, points: int) -> Details:
        """Baseline, signals and causes of one frame in each of `points` steps, where there was one."""
        parameters = {"source": source, "since": since, "until": until, "step": (until - since) / points}
        with self.open() as db:
            rows = db.execute(_DETAILS, parameters).fetchall()
        causes: list[dict[str, float]] = [json.loads(row[2]) for row in rows]
        names = sorted({name for row_causes in causes for name in row_causes})
        return Details(
            [row[0] for row in rows],
            [row[1] for row in rows],
            {name: [row[3 + number] for row in rows] for number, name in enumerate(SIGNALS)},
            {name: [row_causes.get(name) for row_causes in causes] for name in names},
        )

    def events(self, since: float, until: float, source: str | None = None, limit: int = 1000) -> list[PastEvent]:
        """The events that overlap a period, newest first."""
        parameters = {"since": since, "until": until, "source": source, "limit": limit}
        with self.open() as db:
            rows = db.execute(_EVENTS, parameters).fetchall()
        return [PastEvent(*row[:5], evidence=json.loads(row[5]), has_thumbnail=bool(row[6])) for row in rows]

    def thumbnail(self, number: int) -> bytes | None:
        """The picture of an event, JPEG, None if there is none."""
        with self.open() as db:
            row = db.execute("SELECT thumbnail FROM events WHERE rowid = ?", (number,)).fetchone()
        return row[0] if row else None

    def _curves(self, query: str, step_s: float, parameters: Mapping[str, Any]) -> dict[str, Curve]:
        curves: dict[str, Curve] = {}
        with self.open() as db:
            for source, packed in db.execute(query, {**parameters, "step": step_s}):
                values = json.loads(packed)
                if values[0] is not None:
                    curve = curves.setdefault(source, Curve(step_s))
                    for column, value in zip((curve.times, curve.score, curve.low, curve.high), values, strict=True):
                        column.append(round(value, 2))
        return curves

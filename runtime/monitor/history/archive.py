"""Queries the history: curves and events of a period, reduced by SQLite to what a chart can show."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.evidence import describe, title
from dpiqa.runtime.monitor.history.schema import SIGNALS, VERSION
from dpiqa.runtime.monitor.messages import Action

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
_EVENTS = """SELECT rowid, source, kind, began, ended, evidence, coalesce(muted, 0), thumbnail IS NOT NULL,
    picture IS NOT NULL, before IS NOT NULL, after IS NOT NULL, (
        SELECT json_array(who, wall_time) FROM actions WHERE action = 'acknowledge' AND source = events.source
        AND coalesce(kind, events.kind) = events.kind AND wall_time >= began AND wall_time <= coalesce(ended, 1e12)
        ORDER BY wall_time LIMIT 1
    ) FROM events WHERE began < :until AND (ended IS NULL OR ended >= :since) AND (:source IS NULL OR source = :source)
    ORDER BY began DESC LIMIT :limit"""
_ACTIONS = """SELECT source, wall_time, action, who, kind, until FROM actions
    WHERE wall_time >= :since AND wall_time < :until AND (:source IS NULL OR source = :source)
    ORDER BY wall_time DESC LIMIT :limit"""
_FIRST = """SELECT min(at) FROM (
    SELECT min(wall_time) AS at FROM readings WHERE source = :source AND wall_time >= :since
    UNION ALL SELECT min(minute) * 60 FROM minutes WHERE source = :source AND minute >= :since / 60
)"""
Part = Literal["thumbnail", "picture", "before", "after"]
PARTS: tuple[Part, ...] = get_args(Part)


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
    """An event of the history with its row number; times are Unix seconds, `ended` is None while it lasts.

    `text` is the evidence in words; `pictures` names those that there are; `acknowledged_by` and `acknowledged` say who
    did, and when.
    """

    number: int
    source: str
    kind: str
    began: float
    ended: float | None
    evidence: dict[str, float | str]
    title: str
    text: str
    muted: bool
    pictures: tuple[Part, ...]
    acknowledged_by: str | None
    acknowledged: float | None


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
        return [_event(*row) for row in rows]

    def actions(self, since: float, until: float, source: str | None = None, limit: int = 1000) -> list[Action]:
        """What people did in a period, newest first."""
        parameters = {"since": since, "until": until, "source": source, "limit": limit}
        with self.open() as db:
            rows = db.execute(_ACTIONS, parameters).fetchall()
        return [Action(name, action, who, at, kind, end) for name, at, action, who, kind, end in rows]

    def picture(self, number: int, part: Part = "thumbnail") -> bytes | None:
        """A picture of an event, JPEG, None if there is none."""
        with self.open() as db:
            row = db.execute(f"SELECT {PARTS[PARTS.index(part)]} FROM events WHERE rowid = ?", (number,)).fetchone()
        return row[0] if row else None

    def first_time(self, source: str, since: float) -> float | None:
        """The first score of a source from `since` on, Unix seconds, None if there is none."""
        with self.open() as db:
            return db.execute(_FIRST, {"source": source, "since": since}).fetchone()[0]

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


def _event(
    number: int, source: str, kind: str, began: float, ended: float | None, packed: str, muted: int, *rest: Any
) -> PastEvent:
    *has_parts, acknowledgement = rest
    evidence = json.loads(packed)
    by, at = json.loads(acknowledgement) if acknowledgement else (None, None)
    pictures: tuple[Part, ...] = tuple(part for part, is_there in zip(PARTS, has_parts, strict=True) if is_there)
    texts = title(kind, evidence), describe(kind, evidence)
    return PastEvent(number, source, kind, began, ended, evidence, *texts, bool(muted), pictures, by, at)

"""A made-up past: histories of many cameras over days, as a monitor would have written them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
from made import photo

from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.settings.sinks import HistorySettings

HOUR_S, DAY_S = 3600, 86400
BAD_EVERY_S, BAD_S, DROP = 6 * HOUR_S, 600, 30
FINE_S = 2 * HOUR_S

# Scores follow the day around the camera's own level; every six hours, ten minutes are bad.
_SCORE = f"""max(0, min(100, :level + 5 * sin(at * 6.2832 / {DAY_S}) + random() % 100 / 50.0
    - {DROP} * ((at - :since) % {BAD_EVERY_S} < {BAD_S})))"""
_SERIES = """WITH RECURSIVE series (at) AS (
    SELECT :start UNION ALL SELECT at + :step FROM series WHERE at + :step < :until
) """
_MINUTES = f"""INSERT INTO minutes (source, minute, readings, sum, low, high) {_SERIES}
    SELECT :name, at / 60, 300, 300 * score, score - 2, score + 2
    FROM (SELECT at, {_SCORE} AS score FROM series)"""
_READINGS = f"""INSERT INTO readings {_SERIES} SELECT :name, at, NULL, 0, {_SCORE}, :level,
    json_object('blur', 0.2, 'noise', abs(random() % 100) / 100.0), 30, 0.3 + 0.1 * sin(at / 900.0), 0.5 + 0.3 *
    sin(at * 6.2832 / {DAY_S}), 0.01, 0.02, 0.6, 0.01, 0.02, 0.01, NULL FROM series"""
_EVENTS = f"""INSERT INTO events (source, kind, began, ended, evidence, thumbnail) {_SERIES}
    SELECT :name, 'QualityDrop', at, at + {BAD_S},
    json_object('drop', {DROP}, 'score', :level - {DROP}), :picture FROM series"""
_STATUSES = f"""INSERT INTO statuses {_SERIES}
    SELECT :name, at, 'up', 'frames arrive', (at - :since) / {DAY_S}, 7, (at - :since) * 5 FROM series"""
_WORST = f"""INSERT INTO worst {_SERIES}
    SELECT :name, at / {HOUR_S}, :level - abs(random() % 40), at + 100, :picture FROM series"""


def make_history(path: Path, cameras: int, days: float, until: float) -> list[str]:
    """A history that ends at `until` (Unix seconds); returns the names of its cameras.

    There is a reading every minute, and one a second in the last two hours.
    """
    History(HistorySettings(path=path)).close()
    names = [f"camera {number:02d}" for number in range(1, cameras + 1)]
    picture = cv2.imencode(".jpg", photo(90, 160))[1].tobytes()
    end = int(until)
    since = end - int(days * DAY_S)
    fine = max(since, end - FINE_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        for number, name in enumerate(names):
            level = 55 + 35 * number / max(1, cameras - 1)
            place = {"name": name, "level": level, "since": since, "picture": picture}

            def fill(query: str, start: float, step: float, until: int = end, place: dict = place) -> None:
                db.execute(query, place | {"start": start, "step": step, "until": until})

            fill(_MINUTES, since // 60 * 60, 60)
            fill(_READINGS, since, 60, fine)
            fill(_READINGS, fine, 1)
            fill(_EVENTS, since, BAD_EVERY_S)
            fill(_STATUSES, since, 300)
            fill(_WORST, since, HOUR_S)
        db.execute("COMMIT")
    return names

"""Writes the history: an SQLite file that survives restarts and kills, and stays within its size."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic, time

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.evidence import duration
from dpiqa.runtime.monitor.history.loss import OpenedFile, set_aside
from dpiqa.runtime.monitor.history.schema import (
    HEARTBEAT_S,
    READING_COLUMNS,
    RENEWALS,
    SCHEMA,
    SIGNALS,
    VERSION,
)
from dpiqa.runtime.monitor.messages import PICTURES, Action, Event, LiveReading, Message, Snapshot, Status
from dpiqa.runtime.monitor.settings.sinks import HistorySettings
from dpiqa.runtime.monitor.snapshots import HOUR_S
from dpiqa.runtime.reading import BANDS

log = logging.getLogger(__name__)

_ADD_READING = f"INSERT INTO readings VALUES ({', '.join('?' * len(READING_COLUMNS))})"
_BAND_NAMES = [name for _, name in BANDS]
_ADD_MINUTE = f"""INSERT INTO minutes (source, minute, readings, sum, low, high, {", ".join(_BAND_NAMES)})
    VALUES (:source, :minute, 1, :score, :score, :score, :band = 0, :band = 1, :band = 2, :band = 3, :band = 4)
    ON CONFLICT DO UPDATE
    SET readings = readings + 1, sum = sum + :score, low = min(low, :score), high = max(high, :score),
    {", ".join(f"{name} = {name} + excluded.{name}" for name in _BAND_NAMES)}"""
_ADD_WORST = """INSERT INTO worst VALUES (:source, :hour, :score, :wall_time, :jpeg) ON CONFLICT DO UPDATE
    SET score = :score, wall_time = :wall_time, thumbnail = :jpeg WHERE :score < score"""
_PICTURE_BYTES = f"SELECT {' + '.join(f'total(length({name}))' for name in (*PICTURES, 'after'))} FROM events"
_ADD_EVENT = """INSERT INTO events (source, kind, began, ended, evidence, thumbnail, picture, before, muted)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TRIM_EVERY_S, _CHECK_EVERY_S = 60.0, 5.0
_JUMP_S, _TRUST_AFTER_S = 60.0, 3600.0  # a wrong clock must not delete the whole history
# Deletes a tenth of the readings when the file is too large, or of the events when their pictures fill half of it.
_CUT = """DELETE FROM {0} WHERE rowid IN (SELECT rowid FROM {0} WHERE {2} ORDER BY {1}
    LIMIT (SELECT max(1, count(*) / 10) FROM {0}))"""
_CUT_READINGS, _CUT_EVENTS = (
    _CUT.format("readings", "wall_time", "true"),
    _CUT.format("events", "began", "ended IS NOT NULL"),
)


class History:
    """Writes every message to the SQLite file. Raises InputError for a file that is not a history."""

    name, linger_s = "sqlite", 0.5
    accepts: tuple[type, ...] = (object,)

    def __init__(self, settings: HistorySettings) -> None:
        self._settings = settings
        self._states: dict[str, tuple[str, str, int]] = {}
        self._trimmed_s = self._jumped_s = monotonic()
        self._clock_ahead_s = time() - self._trimmed_s
        self._checked_s = monotonic()
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{settings.path}: not a writable history ({error})") from None

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer. A file that was removed, replaced or damaged is set aside, and a new one begun."""
        if monotonic() - self._checked_s >= _CHECK_EVERY_S:
            self._checked_s = monotonic()
            reason = self._file.missing_reason()
            if reason is not None:
                self._begin_anew(reason)
        try:
            self._write(messages)
        except sqlite3.Error as error:
            is_damaged = type(error) is sqlite3.DatabaseError  # its subclasses are for a full disk, a lock
            reason = self._file.missing_reason()
            if reason is None and not is_damaged:
                raise
            reason = reason or f"is damaged ({error})"
            self._begin_anew(reason)
            self._write(messages)

    def _write(self, messages: Sequence[Message]) -> None:
        states = dict(self._states)
        try:
            with self._transaction():
                for message in messages:
                    self._add(message)
        except BaseException:
            self._states = states
            raise
        if monotonic() - self._trimmed_s >= _TRIM_EVERY_S:
            try:
                self.trim(time() if self._clock_is_steady() else None)
            except sqlite3.Error as error:  # the messages are written anyway
                log.warning("sqlite: old rows could not be deleted (%s)", error)

    def _open(self) -> None:
        with ExitStack() as stack:
            self._file = OpenedFile(self._settings.path)  # it holds pictures; files beside it get the same permissions
            stack.callback(self._file.close)
            # Opened here, used and closed only by the sink's thread.
            self._db = sqlite3.connect(self._settings.path, timeout=5, isolation_level=None, check_same_thread=False)
            stack.callback(self._db.close)
            self._prepare()
            stack.pop_all()

    def _begin_anew(self, reason: str) -> None:
        with suppress(sqlite3.Error):
            self._db.close()
        self._file.close()
        aside = set_aside(self._settings.path)
        self._states.clear()
        self._open()
        kept = f", see {aside}" if aside else ""
        log.warning("sqlite: %s %s, a new one is begun%s", self._settings.path, reason, kept)

    def trim(self, now: float | None) -> None:
        """Delete rows too old at `now` (Unix seconds, None if unknown), and some of the oldest while too large."""
        self._trimmed_s = monotonic()
        oldest = 0.0 if now is None else now - self._settings.max_age_days * 24 * 3600
        with self._transaction():
            self._db.execute("DELETE FROM readings WHERE wall_time < ?", (oldest,))
            self._db.execute("DELETE FROM minutes WHERE minute < ?", (int(oldest // 60),))
            self._db.execute("DELETE FROM worst WHERE hour < ?", (int(oldest // HOUR_S),))
            self._db.execute("DELETE FROM events WHERE coalesce(ended, began) < ?", (oldest,))
            self._db.execute("DELETE FROM statuses WHERE wall_time < ?", (oldest,))
            self._db.execute("DELETE FROM actions WHERE wall_time < ?", (oldest,))
            if self._used_bytes() > self._settings.max_mb * 1e6:
                (pictures,) = self._db.execute(_PICTURE_BYTES).fetchone()
                pictures_dominate = pictures > self._settings.max_mb * 1e6 / 2
                self._db.execute(_CUT_EVENTS if pictures_dominate else _CUT_READINGS)
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self) -> None:
        """See Writer."""
        self._db.close()
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version not in (*RENEWALS, VERSION) and (version or tables):
            raise sqlite3.DatabaseError(f"expected a history of version {VERSION}, found another database")
        if not version:
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA journal_size_limit = {16 * 2**20}")
        if version < VERSION:
            script = RENEWALS[version] if version else SCHEMA
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {VERSION}; COMMIT;")

    def _clock_is_steady(self) -> bool:
        """Whether the wall clock has not jumped for an hour."""
        ahead_s = time() - monotonic()
        jump_s, self._clock_ahead_s = ahead_s - self._clock_ahead_s, ahead_s
        if abs(jump_s) > _JUMP_S:
            self._jumped_s = monotonic()
            log.warning("the clock was set %s by %s", "forward" if jump_s > 0 else "back", duration(abs(jump_s)))
        return monotonic() - self._jumped_s >= _TRUST_AFTER_S

    def _used_bytes(self) -> int:
        names = ("page_count", "freelist_count", "page_size")
        pages, free, page_bytes = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return (pages - free) * page_bytes

    def _add(self, message: Message) -> None:
        if isinstance(message, LiveReading):
            self._add_reading(message)
        elif isinstance(message, Event):
            self._add_event(message)
        elif isinstance(message, Snapshot):
            if message.void:
                return
            hour = int(message.wall_time // HOUR_S)
            worst = {name: getattr(message, name) for name in ("source", "score", "wall_time", "jpeg")}
            self._db.execute(_ADD_WORST, {"hour": hour, **worst})
        elif isinstance(message, Action):
            values = (message.source, message.wall_time, message.action, message.by, message.kind, message.until)
            self._db.execute("INSERT INTO actions VALUES (?, ?, ?, ?, ?, ?)", values)
        else:
            self._add_status(message)

    def _add_reading(self, reading: LiveReading) -> None:
        values = (
            *(reading.source, reading.wall_time, reading.pts_s, reading.index, reading.score, reading.baseline),
            *(json.dumps(reading.causes), reading.latency_ms.get("total")),
        )
        signals = (getattr(reading.signals, name) for name in SIGNALS)
        self._db.execute(_ADD_READING, (*values, *signals, reading.void))
        minute = {"source": reading.source, "minute": int(reading.wall_time // 60)}
        self._db.execute(_ADD_MINUTE, {**minute, "score": reading.score, "band": _BAND_NAMES.index(reading.band)})

    def _add_event(self, event: Event) -> None:
        same = (event.source, event.kind, event.began)
        if event.state == "raised" and not event.muted:  # it may have outlasted a mute
            unmute = "UPDATE events SET muted = 0 WHERE source = ? AND kind = ? AND began = ? AND ended IS NULL"
            if self._db.execute(unmute, same).rowcount:
                return
        # An event left open by a killed monitor ends where the next one begins.
        ended, after = (event.began, None) if event.ended is None else (event.ended, event.picture)
        update = self._db.execute(
            "UPDATE events SET ended = max(began, ?), after = ? WHERE source = ? AND kind = ? AND ended IS NULL",
            (ended, after, event.source, event.kind),
        )
        if event.state == "raised" or not update.rowcount:
            pictures = (event.thumbnail, event.picture, event.before)
            values = (*same, event.ended, json.dumps(event.evidence), *pictures, event.muted)
            self._db.execute(_ADD_EVENT, values)

    def _add_status(self, status: Status) -> None:
        state = status.state, status.reason, int(status.wall_time // HEARTBEAT_S)
        if self._states.get(status.source) == state:
            return
        self._states[status.source] = state
        counts = (status.reconnects, status.dropped, status.scored)
        self._db.execute(
            "INSERT INTO statuses VALUES (?, ?, ?, ?, ?, ?, ?)",
            (status.source, status.wall_time, status.state, status.reason, *counts),
        )

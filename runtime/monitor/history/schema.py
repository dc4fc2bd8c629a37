"""The tables of the history, an SQLite file.

`readings` (one row per scored frame; `void` is `black`, `white` or `flat` if it shows nothing), `minutes` (scores by
source and minute, and the readings in each band, kept as long but never trimmed by size), `events` (one row each,
`ended` is NULL while it lasts; `picture` was taken when it was raised, `before` when all was well, `after` at its end;
`muted` is 1 if it raised no alarm), `actions` (what people did: accepted a view, acknowledged, muted), `statuses`
(state changes, and a heartbeat every five minutes) and `worst` (the picture with the lowest score of each source and
hour). Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import fields

from dpiqa.runtime.monitor.messages import Signals

VERSION = 4
HEARTBEAT_S = 300.0
SIGNALS = tuple(field.name for field in fields(Signals))
READING_COLUMNS = ("source", "wall_time", "pts_s", "idx", "score", "baseline", "causes", "total_ms", *SIGNALS, "void")
_SINCE_VERSION_1 = """
CREATE INDEX events_by_time ON events (began);
CREATE TABLE worst (source, hour INTEGER, score REAL, wall_time REAL, thumbnail BLOB, PRIMARY KEY (source, hour));
"""
_SINCE_VERSION_2 = "ALTER TABLE readings ADD COLUMN void;"
_SINCE_VERSION_3 = """
ALTER TABLE events ADD COLUMN picture BLOB;
ALTER TABLE events ADD COLUMN before BLOB;
ALTER TABLE events ADD COLUMN after BLOB;
ALTER TABLE events ADD COLUMN muted INTEGER;
ALTER TABLE minutes ADD COLUMN bad INTEGER;
ALTER TABLE minutes ADD COLUMN poor INTEGER;
ALTER TABLE minutes ADD COLUMN fair INTEGER;
ALTER TABLE minutes ADD COLUMN good INTEGER;
ALTER TABLE minutes ADD COLUMN excellent INTEGER;
CREATE TABLE actions (source, wall_time, action, who, kind, until);
CREATE INDEX actions_by_source ON actions (source, wall_time);
"""
RENEWALS = {  # from an earlier version to this one
    1: _SINCE_VERSION_1 + _SINCE_VERSION_2 + _SINCE_VERSION_3,
    2: _SINCE_VERSION_2 + _SINCE_VERSION_3,
    3: _SINCE_VERSION_3,
}

SCHEMA = f"""
CREATE TABLE readings ({", ".join(READING_COLUMNS)});
CREATE INDEX readings_by_time ON readings (wall_time);
CREATE INDEX readings_by_source ON readings (source, wall_time);
CREATE TABLE minutes (source, minute INTEGER, readings INTEGER, sum REAL, low REAL, high REAL,
    PRIMARY KEY (source, minute)) WITHOUT ROWID;
CREATE TABLE events (source, kind, began, ended, evidence, thumbnail BLOB);
CREATE INDEX events_by_source ON events (source, began);
CREATE TABLE statuses (source, wall_time, state, reason, reconnects, dropped, scored);
CREATE INDEX statuses_by_source ON statuses (source, wall_time);
{_SINCE_VERSION_1}{_SINCE_VERSION_3}"""

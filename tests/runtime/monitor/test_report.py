"""`dpiqa report`: a page that needs nothing else, of metrics that can be worked out by hand."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import encode, moving
from made import Ended, photo
from messages import event, reading, status
from past import make_history

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.period import select_period
from dpiqa.runtime.monitor.history.report_metrics import CameraMetrics, covered_period, report_metrics
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.messages import Message, Snapshot, SourceState
from dpiqa.runtime.monitor.report.groups import grouped, summary
from dpiqa.runtime.monitor.settings.sinks import HistorySettings
from dpiqa.runtime.monitor.snapshots import jpeg_thumbnail
from dpiqa.runtime.reading import BANDS

NEVER = threading.Event()
START = 1_700_000_100.0 // 3600 * 3600
Command = Callable[..., Ended]


def record(path: Path, *messages: Message) -> Archive:
    history = History(HistorySettings(path=path))
    history.write(messages, NEVER)
    history.close()
    return Archive(path)


def at(message: Message, seconds: float) -> Message:
    assert not isinstance(message, (Snapshot,))
    name = "began" if hasattr(message, "began") else "wall_time"
    return replace(message, **{name: START + seconds})  # type: ignore[arg-type]


def state(seconds: float, name: SourceState, reconnects: int = 0, dropped: int = 0) -> Message:
    return at(status(name, "cam", dropped=dropped, reconnects=reconnects), seconds)


def only(archive: Archive, since: float, until: float) -> CameraMetrics:
    (camera,) = report_metrics(archive, START + since, START + until).cameras
    return camera


def test_uptime_counts_what_was_watched(tmp_path: Path) -> None:
    archive = record(
        tmp_path / "h.db",
        state(0, "up", reconnects=2, dropped=5),
        *[state(step, "up", reconnects=2, dropped=9) for step in range(300, 3600, 300)],
        state(3600, "down", reconnects=2, dropped=9),
        state(3700, "up", reconnects=3, dropped=9),
        *[at(reading(), 3700 + step) for step in range(0, 500, 10)],  # then the monitor is killed
        state(7200, "connecting"),
        state(7210, "up", dropped=1),
    )
    camera = only(archive, 0, 7510)
    watched = 3600 + 100 + 500 + 10 + 300  # the last reading's minute ends at 4200
    assert camera.watched == pytest.approx(watched / 7510)
    assert camera.up == pytest.approx((watched - 110) / watched)
    assert (camera.reconnects, camera.dropped) == (3, 10)
    middle = only(archive, 1800, 3700)
    assert middle.watched == pytest.approx(1)
    assert middle.up == pytest.approx(1800 / 1900)
    assert (middle.reconnects, middle.dropped) == (0, 0)


def test_scores_are_reported_by_band_and_by_hour_of_the_day(tmp_path: Path) -> None:
    scores = [10, 30, 50, 70, 90, 90]
    archive = record(
        tmp_path / "h.db",
        *[at(reading(score=score), 60 * minute) for minute, score in enumerate(scores)],
        at(reading(score=42), 3600),
    )
    camera = only(archive, 0, 3600)
    assert camera.bands == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 6, 2 / 6])
    assert (camera.mean, camera.lowest, camera.up) == (pytest.approx(340 / 6), 10, None)
    hours = only(archive, 0, 7200).hours
    first = datetime.fromtimestamp(START).hour
    assert hours[first] == pytest.approx(340 / 6)
    assert hours[(first + 1) % 24] == pytest.approx(42)
    assert sum(mean is not None for mean in hours) == 2


def test_the_time_in_a_band_is_that_of_readings_not_of_minutes(tmp_path: Path) -> None:
    scores = [90] * 45 + [10] * 15  # a mean of 70, which is good
    archive = record(tmp_path / "h.db", *[at(reading(score=score), second) for second, score in enumerate(scores)])
    assert only(archive, 0, 60).bands == pytest.approx([0.25, 0, 0, 0, 0.75])


def test_hours_and_dates_are_in_the_time_zone_asked_for(tmp_path: Path, dpiqa: Command) -> None:
    archive = record(tmp_path / "h.db", at(reading(score=42), 0), at(event(), 0))
    for name, offset_h in (("Asia/Kolkata", 5.5), ("America/New_York", -5)):
        hour = int((START / 3600 + offset_h) % 24)
        (camera,) = report_metrics(archive, START, START + 60, ZoneInfo(name)).cameras
        assert [number for number, mean in enumerate(camera.hours) if mean is not None] == [hour]
        ended = dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html", "--time-zone", name)
        assert ended.status == 0
        text = (tmp_path / "r.html").read_text()
        assert f"{datetime.fromtimestamp(START, ZoneInfo(name)):%Y-%m-%d %H:%M:%S}" in text
        assert f"Times are those of {name}" in Page(text).text
    since = ["--since", f"{datetime.fromtimestamp(START, ZoneInfo('Asia/Kolkata')):%Y-%m-%dT%H:%M:%S}"]
    ended = dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html", "--time-zone", "Asia/Kolkata", *since)
    assert "1 event," in ended.out


def test_what_comes_and_goes_is_one_line_and_the_period_is_in_words(tmp_path: Path, dpiqa: Command) -> None:
    def lasting(began: float, ended: float, kind: str = "Frozen", source: str = "cam") -> Message:
        return replace(event("cleared", kind, source), began=START + began, ended=START + ended)

    flaps = [lasting(100 * number, 100 * number + 20) for number in range(5)]
    apart = [lasting(2000, 2010), lasting(3000, 3010), lasting(50, 60, "Black"), lasting(400, 500, source="yard")]
    metrics = report_metrics(
        record(tmp_path / "h.db", at(reading(score=42), 1), *flaps, *apart, state(0, "up"), state(600, "down")),
        START,
        START + 4000,
    )
    groups = grouped(metrics.events)
    assert [len(group.events) for group in groups] == [1, 1, 1, 1, 5]
    assert (groups[-1].first.began, groups[-1].ended) == (START, START + 420)
    text = " ".join(summary(metrics, {"Frozen": 220.0, "Black": 10.0}))
    assert "The mean score is 42, the lowest 42." in text
    assert "Not always up: cam (" in text
    assert "What lasted longest is frozen: 8 times, on 2 cameras." in text
    assert dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html").status == 0
    page = Page((tmp_path / "r.html").read_text()).text
    assert re.search(r"5 times between \S+ \d\d:\d\d:\d\d and \S+ \d\d:\d\d:\d\d; at first: ", page)
    assert "7 × frozen" in page


def test_the_worst_frame_of_every_hour_is_kept_with_its_picture(tmp_path: Path) -> None:
    def picture(seconds: float, score: float, seed: int) -> Snapshot:
        return Snapshot("cam", START + seconds, score, jpeg_thumbnail(photo(seed=seed)))

    low, other = picture(20, 31, 2), picture(3700, 60, 4)
    archive = record(tmp_path / "h.db", state(0, "up"), picture(10, 50, 1), low, picture(30, 40, 3), other)
    worst = report_metrics(archive, START, START + 7200).worst
    assert [(frame.score, frame.wall_time, frame.jpeg) for frame in worst] == [
        (31, START + 20, low.jpeg),
        (60, START + 3700, other.jpeg),
    ]


class Page(HTMLParser):
    """The addresses and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_recorded_history_becomes_one_page(
    dpiqa: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dark = [frame // 30 for frame in moving(100)]
    clip = encode(tmp_path / "clip.ts", [*moving(100), *dark, *moving(100)])
    watched = dpiqa("monitor", clip, "--model", model_path, "--engine", "onnxruntime", "--fps", 10)
    assert watched.status == 0
    assert "Black raised" in watched.err
    ended = dpiqa("report", "dpiqa-history.db", "--out", "r.html")
    assert (ended.status, ended.err) == (0, "")
    assert re.fullmatch(r"r\.html: 1 camera, [1-9] events?, .*\n", ended.out)
    text = (tmp_path / "r.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert sum(address.startswith("data:image/jpeg") for address in page.addresses) >= 2  # worst frame, event
    assert str(clip) in page.text
    assert "Black" in page.text
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in text


def test_an_event_is_reported_with_its_cause_to_the_second(tmp_path: Path, dpiqa: Command) -> None:
    wrong = replace(event(kind="QualityDrop"), evidence={"likely_cause": "exposure_low", "drop": 30.0, "pts_s": 12.3})
    record(tmp_path / "h.db", reading(), at(wrong, 65))
    assert dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html").status == 0
    text = Page((tmp_path / "r.html").read_text()).text
    assert "quality drop: exposure low" in text
    assert "drop 30" in text
    assert f"{datetime.fromtimestamp(START + 65):%Y-%m-%d %H:%M:%S}" in text


def test_a_hostile_name_stays_text(tmp_path: Path, dpiqa: Command) -> None:
    name = "</script><script>alert(1)</script>&<img src=http://evil.example/x>"
    wrong = replace(event(source=name), evidence={"reason": name})
    record(tmp_path / "h.db", reading(source=name), wrong, status(source=name))
    assert dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html").status == 0
    text = (tmp_path / "r.html").read_text()
    assert "alert(1)</script>" not in text
    assert all(address.startswith("data:") for address in Page(text).addresses)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.db"], "gone.db: no such file, expected a history"),
        (["."], ".: it is a folder, expected a history"),
        (["notes.txt"], "notes.txt: not a history"),
        (["other.db"], "other.db: not a history"),
        (["empty.db"], "empty.db: the history is empty, nothing to report"),
        (["h.db", "--since", "yesterday"], "--since yesterday: expected a date such as"),
        (["h.db", "--until", "2026-13-01"], "--until 2026-13-01: expected a date such as"),
        (["h.db", "--last", "24"], "--last 24: expected a length such as 90m, 24h, 7d or 2w"),
        (["h.db", "--last", "0h"], "--last 0h: expected a length"),
        (["h.db", "--last", "1h", "--since", "2026-01-01"], "--last: cannot be combined with --since"),
        (["h.db", "--since", "2026-01-02", "--until", "2026-01-01"], "--since 2026-01-02: is not before the end"),
        (["h.db", "--since", "2001-01-01", "--until", "2001-01-02"], "h.db: nothing from 2001-01-01 00:00 to 2001"),
        (
            ["h.db", "--time-zone", "Mars"],
            "--time-zone: unknown time zone 'Mars', expected a name",
        ),
        (["h.db", "--last", "1h"], ", the history covers 2023-11-"),
        (["h.db", "--out", "h.db"], "--out h.db: is the history itself"),
        (["h.db", "--out", "no/such/folder/r.html"], "cannot be written, no such file or directory"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    dpiqa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("not a database, but longer than its header of a hundred bytes" * 5)
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    History(HistorySettings(path=tmp_path / "empty.db")).close()
    record(tmp_path / "h.db", reading())
    before = (tmp_path / "h.db").read_bytes()
    ended = dpiqa("report", *arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert words in ended.err
    assert (tmp_path / "h.db").read_bytes() == before
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_history_of_an_earlier_version_is_upgraded_by_the_monitor(tmp_path: Path, version: int) -> None:
    path = tmp_path / "h.db"
    record(path, reading(), event())
    with sqlite3.connect(path) as db:
        for column in ("picture", "before", "after", "muted"):
            db.execute(f"ALTER TABLE events DROP COLUMN {column}")
        for _, name in BANDS:
            db.execute(f"ALTER TABLE minutes DROP COLUMN {name}")
        db.executescript(f"DROP TABLE actions; PRAGMA user_version = {version};")
        if version < 3:
            db.execute("ALTER TABLE readings DROP COLUMN void")
        if version == 1:
            db.executescript("DROP TABLE worst; DROP INDEX events_by_time;")
    db.close()
    with pytest.raises(
        InputError, match=rf"a history of version {version}, run dpiqa monitor --sqlite .* to upgrade it"
    ):
        Archive(path)
    archive = record(path, reading(60))
    assert len(archive.events(0, 2e9)) == 1
    assert report_metrics(archive, *covered_period(archive)).cameras[0].lowest == 80


LENGTHS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@given(st.integers(1, 500), st.sampled_from(sorted(LENGTHS)), st.floats(1e9, 2e9))
def test_a_length_ends_now(count: int, unit: str, now: float) -> None:
    assert select_period(None, None, f"{count}{unit}", (0, 1), now) == (now - count * LENGTHS[unit], now)


@settings(deadline=None)
@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)))
def test_a_date_is_read_as_it_is_written(date: datetime) -> None:
    assert select_period(date.isoformat(), None, None, (0, 1e10), 0) == (date.timestamp(), 1e10 + 1)


@settings(deadline=None)
@given(st.text(max_size=20).filter(lambda text: not text[:1].isdigit()))
def test_what_is_no_date_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(InputError, match="--until"):
        select_period(None, text, None, (0, 1e10), 0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 100)), min_size=1, max_size=60))
def test_a_curve_holds_every_reading_within_its_limits(points: list[tuple[float, float]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        archive = record(Path(folder) / "h.db", *[at(reading(score=score), when) for when, score in sorted(points)])
        for since, until, step in ((0, 5001, 100), (0, 7300, 60)):
            curve = archive.curve("cam", START + since, START + until, 50 if step == 100 else 1000)
            assert curve.times == sorted(curve.times)
            assert len(curve.times) <= (until - since) / curve.step_s + 1
            assert all(low <= mean <= high for low, mean, high in zip(curve.low, curve.score, curve.high, strict=True))
            scores = [score for _, score in points]
            assert min(curve.low) == pytest.approx(min(scores), abs=0.01)
            assert max(curve.high) == pytest.approx(max(scores), abs=0.01)
            gaps = [after - before for before, after in itertools.pairwise(curve.times)]
            assert all(gap > 0 for gap in gaps)


@pytest.mark.slow
def test_weeks_of_cameras_is_reported_in_good_time(tmp_path: Path, dpiqa: Command) -> None:
    now = time.time()
    names = make_history(tmp_path / "h.db", 8, 14, now)
    began = time.monotonic()
    ended = dpiqa("report", tmp_path / "h.db", "--out", tmp_path / "r.html", "--last", "7d")
    took = time.monotonic() - began
    print(f"a week of 8 cameras is reported after {took:.1f} s")
    assert ended.status == 0
    assert "8 cameras, 2" in ended.out
    text = (tmp_path / "r.html").read_text()
    assert all(name in text for name in names)
    assert took < 30

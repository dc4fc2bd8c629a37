"""JSON lines and CSV: whole records, bounded; and every file through a full disk."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from messages import event, reading, rows, status, wait_for, write
from pydantic import ValidationError

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.monitor.messages import Message, to_json
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_message_is_a_line_of_json(tmp_path: Path) -> None:
    messages: list[Message] = [reading(), event(), event("cleared"), status()]
    write(messages, jsonl=tmp_path / "m.jsonl")
    write([reading(7)], jsonl=tmp_path / "m.jsonl")
    found = lines(tmp_path / "m.jsonl")
    assert found == [to_json(message) for message in [*messages, reading(7)]]
    assert [line["type"] for line in found] == ["reading", "event", "event", "status", "reading"]
    assert all({"type", "source", "wall_time"} <= line.keys() for line in found)


def test_json_lines_roll_over_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for batch in range(6):
        write([reading(batch * 100 + step) for step in range(100)], jsonl={"path": path, "max_mb": 0.08, "keep": 2})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.jsonl", "m.jsonl.1", "m.jsonl.2"]
    assert all(file.stat().st_size <= 80_000 for file in tmp_path.iterdir())
    times = [line["pts_s"] for name in ("m.jsonl.2", "m.jsonl.1", "m.jsonl") for line in lines(tmp_path / name)]
    assert times == list(range(600))[-len(times) :]


def test_a_line_that_a_killed_process_left_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"type": "rea')
    write([status()], jsonl=path)
    assert path.read_text().splitlines()[1:] == [json.dumps(to_json(status()))]


def test_csv_has_a_row_a_reading_and_one_header_a_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write([reading(1), event(), reading(2, 55.5)], csv=path)
    write([reading(3)], csv=path)
    with path.open() as file:
        found = list(csv.DictReader(file))
    assert [float(row["pts_s"]) for row in found] == [1, 2, 3]
    assert found[1]["score"] == "55.5"
    assert found[0]["cause_noise"] == "0.4"
    assert found[0]["total_ms"] == "30.0"
    assert found[0]["brightness"] == "0.5"
    write([replace(reading(4), causes={})], csv=path)
    assert "cause_noise" not in path.read_text()
    assert len((tmp_path / "m.csv.1").read_text().splitlines()) == 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_counted_and_scoring_goes_on_until_there_is_room(small_disk: Path) -> None:
    paths = {name: small_disk / f"m.{name}" for name in ("jsonl", "csv", "sqlite")}
    sinks = SinkSet(SinkSettings.model_validate(paths)).sinks
    ballast = small_disk / "ballast"

    def put(index: int) -> None:
        for sink in sinks:
            sink.put(reading(index, index=index))

    def all_have(what: str, more_than: dict[str, int]) -> bool:
        return all(getattr(sink.counts, what) > more_than[sink.name] for sink in sinks)

    put(0)
    wait_for(lambda: all_have("written", dict.fromkeys(paths, 0)), "the first was written")
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    index = 0
    while not all_have("failed", dict.fromkeys(paths, 0)):
        index += 1
        assert index < 2000, [(sink.name, sink.counts) for sink in sinks]
        put(index)
        time.sleep(0.01)
    ballast.unlink()
    before = {sink.name: sink.counts.written for sink in sinks}
    wait_for(lambda: (put(5000), all_have("written", before))[1], "there is room again")
    for sink in sinks:
        sink.close(10)
        assert sink.counts.failed > 0
        assert sink.counts.dropped == 0
    written = {sink.name: sink.counts.written for sink in sinks}
    assert len(lines(paths["jsonl"])) == written["jsonl"]
    with paths["csv"].open() as file:
        assert len(list(csv.DictReader(file))) == written["csv"]
    assert rows(paths["sqlite"], "PRAGMA integrity_check") == [("ok",)]
    assert rows(paths["sqlite"], "SELECT count(*) FROM readings") == [(written["sqlite"],)]


def test_what_cannot_be_opened_is_one_line_and_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nowhere/m\.csv: cannot be written, no such file"):
        SinkSet(SinkSettings.model_validate({"sqlite": tmp_path / "h.db", "csv": "/nowhere/m.csv"}))
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "dpiqa.runtime.monitor.sinks.prometheus", raising=False)
    with pytest.raises(DpiqaError, match=r"prometheus: .*pip install '\.\[monitor\]'"):
        SinkSet(SinkSettings.model_validate({"sqlite": None, "prometheus": "127.0.0.1:0"}))


@pytest.mark.parametrize(
    "section",
    [
        {"mqtt": "http://user:secret@host"},
        {"mqtt": {"url": "mqtt://user:secret@host", "topic": "a/#"}},
        {"webhooks": ["ftp://user:secret@host"]},
        {"webhooks": ["https://user:secret@"]},
        {"prometheus": "localhost"},
        {"jsonl": {"path": "x", "max_mb": 0}},
        {"csv": {"path": "x", "colour": "blue"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        SinkSettings.model_validate(section)
    assert all("secret" not in str(error["msg"]) for error in caught.value.errors(include_input=False))


def test_credentials_are_not_shown() -> None:
    settings = SinkSettings.model_validate(
        {"mqtt": "mqtt://user:secret@host", "webhooks": [{"url": "https://h/?key=secret", "headers": {"a": "secret"}}]}
    )
    assert "secret" not in repr(settings) + settings.model_dump_json()

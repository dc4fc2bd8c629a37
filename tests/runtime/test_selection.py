"""Sorting, selecting, gating and the contact sheet of `dpiqa score`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made import Ended, MakeModel, make_spec
from playwright.sync_api import Browser, expect

from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import Reading, band
from dpiqa.runtime.selection import Selected, Selection
from dpiqa.runtime.tally import Tally

Command = Callable[..., Ended]
Write = Callable[..., Path]
LEVELS = {"a.png": 60, "b.png": 20, "c.png": 90, "d.png": 40}  # scores: the model's is the brightness


def _picture(score: float) -> np.ndarray:
    level = round(score * 2.55)
    frame = np.full((64, 64, 3), level, np.uint8)
    frame[:, ::2], frame[:, 1::2] = max(0, level - 25), min(255, level + 25)
    frame[:32] = np.clip(frame[:32].astype(int) + 20, 0, 255)
    frame[32:] = np.clip(frame[32:].astype(int) - 20, 0, 255)
    return frame


@pytest.fixture
def folder(write_picture: Write) -> Path:
    paths = [write_picture(f"album/{name}", _picture(score)) for name, score in LEVELS.items()]
    return paths[0].parent


@pytest.fixture
def score(dpiqa: Command, save_model: MakeModel) -> Command:
    model = save_model(make_spec(("blur", "noise")), outputs=("score", "causes", "map"))
    return lambda *arguments: dpiqa("score", "--model", model, *arguments)


def _names(ended: Ended) -> list[str]:
    return [Path(row["source"]).name for row in csv.DictReader(ended.out.splitlines())]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), "abcd"),
        (("--sort",), "bdac"),
        (("--worst", 2), "bd"),
        (("--best", 3), "cad"),
        (("--worst", 9, "--cause", "blur"), "bda"),  # the cause is 1 - score / 100: .1 in the best, too weak
        (("--cause", "noise"), ""),
    ],
)
def test_selects_and_orders(score: Command, folder: Path, options: tuple[object, ...], names: str) -> None:
    ended = score(folder, "--format", "csv", *options)
    assert ended.status == 0
    assert _names(ended) == [f"{name}.png" for name in names]


def test_a_video_counts_by_its_mean(score: Command, folder: Path, write_video: Write) -> None:
    clip = write_video([_picture(30)] * 10)
    lines = [json.loads(line) for line in score(folder, clip, "--worst", 2, "--format", "json").out.splitlines()]
    assert [line["type"] for line in lines] == ["reading"] * 11 + ["summary"]
    assert Path(lines[0]["source"]).name == "b.png"


def test_the_table_names_causes_and_sums_up(score: Command, folder: Path) -> None:
    ended = score(folder, "--sort")
    header, worst, *_, best, summary, causes = ended.out.splitlines()
    assert header.split() == ["score", "quality", "cause", "ms", "picture"]
    assert worst.split()[2] == "blur"
    assert best.split()[1:3] != ["excellent", "blur"]
    assert summary.startswith("4 pictures: mean 5")
    assert causes == "commonest causes: blur 3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--worst", 1, "--best", 1), "--worst and --best: choose one of them"),
        (("--cause", "fog"), "--cause fog: expected one of blur, noise"),
        (("--out", "x.csv", "--report", "x.csv"), "two of them name the same file"),
    ],
)
def test_a_bad_selection_is_refused(
    score: Command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = score(folder, *options)
    assert (ended.status, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_the_gate_names_what_falls_below(score: Command, folder: Path, tmp_path: Path) -> None:
    assert (passing := score(folder, "--min", 10)).status == 0
    assert passing.err == ""
    below = score(folder, "--min", 50)
    assert below.status == 3
    assert [line.split(": ")[1][-5:] for line in below.err.splitlines()] == ["b.png", "d.png"]
    assert below.err.splitlines()[0].endswith(", below 50")
    (folder / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert score(folder, "--min", 10).status == 1
    assert score(folder, "--min", 50).status == 3
    only = tmp_path / "only"
    only.mkdir()
    (only / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert score(only, "--min", 10).status == 2


def test_copies_what_it_shows(score: Command, folder: Path, write_picture: Write, tmp_path: Path) -> None:
    write_picture("album/below/b.png", _picture(10))
    target = tmp_path / "worst"
    assert score(folder, "--worst", 3, "--copy-to", target).status == 0
    assert sorted(path.name for path in target.iterdir()) == ["b-2.png", "b.png", "d.png"]
    again = score(folder, "--worst", 3, "--copy-to", target)
    assert again.status == 2
    assert "b.png is there already" in again.err
    assert len(list(target.iterdir())) == 3
    lost = score(folder, "--worst", 3, "--copy-to", target, "--out", tmp_path / "scores.csv")
    assert lost.status == 2
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 4, "what was scored is not lost"


def test_frames_of_a_video_that_breaks_off_do_not_count_for_the_next() -> None:
    def frames(source: str, score: float) -> list[Reading]:
        return [Reading(source=source, pts_s=at / 25, score=score, band=band(score)) for at in range(3)]

    class Lines:
        def __init__(self) -> None:
            self.readings: list[Reading] = []

        def reading(self, reading: Reading) -> None:
            self.readings.append(reading)

        def video(self, pool: Pool) -> None:
            pass

        def end(self, pictures: Tally) -> None:
            pass

    lines, pool = Lines(), Pool("whole.mp4")
    selected = Selected(lines, Selection(by_score=True))
    for reading in frames("broken.mp4", 10):
        selected.reading(reading)
    for reading in frames("whole.mp4", 80):
        selected.reading(reading)
        pool.add(reading)
    selected.video(pool)
    selected.end(Tally())
    assert {reading.source for reading in lines.readings} == {"whole.mp4"}
    assert len(lines.readings) == 3


def test_parquet_has_the_rows_of_the_table(score: Command, write_video: Write, folder: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    clip = write_video([_picture(50), np.zeros((64, 64, 3), np.uint8)])
    assert score(folder, clip, "--out", tmp_path / "scores.parquet").status == 0
    wanted = list(csv.DictReader(score(folder, clip, "--format", "csv").out.splitlines()))
    rows = pyarrow.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [row["source"] for row in rows] == [line["source"] for line in wanted]
    assert [row["score"] for row in rows] == pytest.approx([float(line["score"]) for line in wanted], abs=0.01)
    assert [row["pts_s"] for row in rows] == [None, None, None, None, 0, pytest.approx(0.1)]
    assert rows[5]["void"] == "black"
    assert "--format parquet: is not text" in score(folder, "--format", "parquet").err
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["scores.parquet"]


def test_vmafs_layout_has_one_video(score: Command, write_video: Write, folder: Path) -> None:
    clip = write_video([_picture(30)] * 5 + [_picture(60)] * 5)
    report = json.loads(score(clip, "--format", "vmaf-json").out)
    assert [frame["frameNum"] for frame in report["frames"]] == list(range(10))
    scores = [frame["metrics"]["dpiqa"] for frame in report["frames"]]
    pooled = report["pooled_metrics"]["dpiqa"]
    assert (pooled["min"], pooled["max"]) == (pytest.approx(min(scores)), pytest.approx(max(scores)))
    assert pooled["mean"] == pytest.approx(np.mean(scores))
    for paths in ((clip, clip), (folder,)):
        assert "--format vmaf-json: takes one video" in score(*paths, "--format", "vmaf-json").err


def test_the_sheet_shows_sorts_and_filters(
    score: Command, folder: Path, write_picture: Write, write_video: Write, tmp_path: Path, chromium: Browser, axe: str
) -> None:
    write_picture("album/<b>&.png", _picture(50))
    write_picture("album/black.png", np.zeros((64, 64, 3), np.uint8))
    sheet = tmp_path / "sheet.html"
    assert score(folder, write_video([_picture(30)] * 10), "--report", sheet).status == 0
    page = chromium.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(sheet.as_uri())
    expect(page.locator("#count")).to_have_text("7 of 7")
    names = page.locator("figcaption small")
    expect(names.first).to_contain_text("black.png")
    expect(page.locator("figcaption").first).to_contain_text("black, nothing to see")
    assert page.locator(".map").count() == 6
    page.select_option("#order", "best")
    expect(names.first).to_contain_text("c.png")
    page.fill("#name", "<B>")
    expect(page.locator("#count")).to_have_text("1 of 7")
    page.fill("#name", "")
    page.select_option("#cause", "blur")
    expect(page.locator("#count")).to_have_text("5 of 7")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate(axe)
        assert page.evaluate("axe.run().then(found => found.violations.map(each => each.id))") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.close()

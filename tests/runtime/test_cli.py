"""The command as a user meets it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made import Ended, MakeModel, halves, make_spec, photo

Write = Callable[..., Path]
Command = Callable[..., Ended]

COMMAND = [sys.executable, "-m", "dpiqa"]


@pytest.fixture
def score(dpiqa: Command, model_path: Path) -> Command:
    return lambda *arguments: dpiqa("score", "--model", model_path, *arguments)


def _assert_one_line(ended: Ended, words: str) -> None:
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.startswith("dpiqa: ")
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    assert words in ended.err


def _text_named_jpg(folder: Path) -> Path:
    (folder / "text.jpg").write_text("these are words\n" * 100)
    return folder / "text.jpg"


def _truncated_jpeg(folder: Path) -> Path:
    data = cv2.imencode(".jpg", photo())[1].tobytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    return folder / "cut.jpg"


def _damaged_png(folder: Path) -> Path:
    data = cv2.imencode(".png", photo())[1].tobytes()
    (folder / "damaged.png").write_bytes(data[:60] + b"IEND" + data[64:80])
    return folder / "damaged.png"


def _empty(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).touch()
        return folder / name

    return make


def _video_without_frames(folder: Path) -> Path:
    fourcc = cv2.VideoWriter.fourcc(*"FFV1")
    cv2.VideoWriter(str(folder / "hollow.avi"), cv2.CAP_FFMPEG, fourcc, 10, (64, 64)).release()
    return folder / "hollow.avi"


def _picture(name: str, pixels: np.ndarray) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        cv2.imwrite(str(folder / name), pixels)
        return folder / name

    return make


def _see_through(folder: Path) -> Path:
    pixels = cv2.cvtColor(photo(), cv2.COLOR_BGR2BGRA)
    pixels[:20, :, 3] = 0
    return _picture("alpha.png", pixels)(folder)


def _tiny_video(folder: Path) -> Path:
    fourcc = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(folder / "tiny.avi"), cv2.CAP_FFMPEG, fourcc, 10, (16, 16))
    writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.release()
    return folder / "tiny.avi"


BAD_INPUTS = {
    "no such file or folder": lambda folder: folder / "gone.jpg",
    "no picture or video in this folder": lambda folder: folder,
    "matches no file": lambda folder: folder / "*.jpg",
    "text.jpg: not a picture that can be decoded": _text_named_jpg,
    "cut.jpg: the file is cut off": _truncated_jpeg,
    "damaged.png: ": _damaged_png,
    "empty.jpg: not a picture that can be decoded": _empty("empty.jpg"),
    "empty.mp4: the file is empty": _empty("empty.mp4"),
    "empty: the file is empty": _empty("empty"),
    "hollow.avi: no": _video_without_frames,
    "tiny.avi: 16x16 pixels is too small": _tiny_video,
    "dot.png: 1x1 pixels is too small": _picture("dot.png", np.zeros((1, 1, 3), np.uint8)),
    "strip.png: 20000x10 pixels is too small": _picture("strip.png", np.zeros((10, 20000, 3), np.uint8)),
    "alpha.png: has transparent pixels": _see_through,
}


@pytest.mark.parametrize(("words", "make"), BAD_INPUTS.items(), ids=[words.strip(": ") for words in BAD_INPUTS])
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    score: Command, tmp_path: Path, words: str, make: Callable[[Path], Path]
) -> None:
    inputs, results = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    results.mkdir()
    (results / "old.json").write_text("old")
    bad = make(inputs)
    for out in ("new.json", "old.json"):
        _assert_one_line(score(bad, "--out", results / out, "--plot", results / "new.png"), words)
    assert [path.name for path in results.iterdir()] == ["old.json"]
    assert (results / "old.json").read_text() == "old"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "carries no contract (metadata key 'dpiqa'), python -m export.onnx adds one"),
        (make_spec().to_json().replace('"height":64', '"height":0'), "contract field 'input.height'"),
        (make_spec().to_json().replace('"spec_version":1', '"spec_version":9'), "spec version 9, this release reads"),
    ],
)
def test_bad_model_is_one_line(
    dpiqa: Command, save_model: MakeModel, write_picture: Write, document: str | None, words: str
) -> None:
    model = save_model(document=document)
    _assert_one_line(dpiqa("score", write_picture(), "--model", model), f"{model}: ")
    _assert_one_line(dpiqa("score", write_picture(), "--model", model), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fps", "0"], "fps must be above 0"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--engine", "magic"], "unknown engine 'magic'"),
        (["--format", "xml"], "expected one of table, json, csv"),
        (["--plot", "curve.pdf"], "only PNG"),
        (["--out", "no/such/folder/x.csv"], "cannot be written, no such file or directory"),
        (["--out", "."], "cannot be written, it is a folder"),
        (["--fps", "many"], "--fps"),
        (["--bogus"], "--bogus"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    score: Command, write_picture: Write, arguments: list[str], words: str
) -> None:
    _assert_one_line(score(write_picture(), *arguments), words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["photo.png", "--out", "photo.png"],
        ["*.png", "--plot", "./photo.png"],
        [".", "--out", "link.csv"],
        ["photo.png", "--out", "new.png", "--plot", "./new.png"],
    ],
)
def test_no_file_is_both_read_and_written_or_written_twice(
    score: Command, write_picture: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    before = write_picture().read_bytes()
    (tmp_path / "link.csv").symlink_to("photo.png")
    monkeypatch.chdir(tmp_path)
    _assert_one_line(score(*arguments), "choose another name")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "photo.png"]
    assert (tmp_path / "photo.png").read_bytes() == before


def test_a_bad_file_among_many_is_told_and_the_rest_are_scored(
    score: Command, write_picture: Write, tmp_path: Path
) -> None:
    good = [write_picture("a.png"), write_picture("z.png")]
    ended = score(good[0], _truncated_jpeg(tmp_path), tmp_path / "gone.png", good[1], "--format", "json")
    assert ended.status == 1
    assert [json.loads(line)["source"] for line in ended.out.splitlines()] == [str(path) for path in good]
    assert sorted(line.split(": ")[1] for line in ended.err.splitlines()) == [
        str(tmp_path / "cut.jpg"),
        str(tmp_path / "gone.png"),
    ]


@pytest.mark.slow
def test_native_chatter_stays_out_of_a_real_run(tmp_path: Path, model_path: Path, write_picture: Write) -> None:
    noisy = cv2.imencode(".jpg", photo())[1].tobytes()
    (tmp_path / "noisy.jpg").write_bytes(noisy[: len(noisy) // 2] + b"\xff\xd9")
    (tmp_path / "fake.mp4").write_bytes(bytes(range(256)) * 20)
    files = [tmp_path / "noisy.jpg", tmp_path / "fake.mp4", _damaged_png(tmp_path), write_picture()]
    ended = subprocess.run(
        [*COMMAND, "score", "--model", model_path, "--format", "json", *files], capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert all(line.startswith(f"dpiqa: {tmp_path}") for line in ended.stderr.splitlines())
    assert json.loads(ended.stdout.splitlines()[-1])["source"] == str(tmp_path / "photo.png")


def test_json_is_one_object_a_line(score: Command, write_picture: Write, write_video: Write) -> None:
    ended = score(write_picture(), write_video([photo(level=level) for level in (60, 200)]), "--format", "json")
    assert (ended.status, ended.err) == (0, "")
    picture, first, second, summary = map(json.loads, ended.out.splitlines())
    assert list(picture) == ["type", "source", "index", "pts_s", "score", "band", "void", "causes", "latency_ms"]
    assert (picture["type"], picture["pts_s"]) == ("reading", None)
    assert [first["index"], second["index"], second["pts_s"]] == [0, 1, 0.1]
    assert summary["type"] == "summary"
    assert summary["frames"] == 2
    assert summary["mean"] == pytest.approx((first["score"] + second["score"]) / 2, abs=0.001)


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_a_name_that_is_not_utf8_is_written_escaped(
    score: Command, write_picture: Write, tmp_path: Path, form: str
) -> None:
    odd, good = tmp_path / "a\udcff.png", write_picture("b.png")
    try:
        odd.write_bytes(good.read_bytes())
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes only valid names")
    plot = tmp_path / "plot.png"
    ended = score(odd, good, "--format", form, "--plot", plot)
    assert (ended.status, ended.err, plot.exists()) == (0, "", True)
    written = json.loads(ended.out.splitlines()[0])["source"] if form == "json" else ended.out
    assert "a\\udcff.png" in written


def test_csv_has_one_row_a_reading(dpiqa: Command, save_model: MakeModel, write_video: Write, tmp_path: Path) -> None:
    model = save_model(make_spec(("blur, motion",)), outputs=("score", "causes"))
    out = tmp_path / "scores.csv"
    assert dpiqa("score", "--model", model, write_video([photo()] * 20), "--fps", 2, "--out", out) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["pts_s"] for row in rows] == ["0.0", "0.5", "1.0", "1.5"]
    assert float(rows[0]["cause_blur, motion"]) == pytest.approx(1 - float(rows[0]["score"]) / 100, abs=0.001)
    assert float(rows[0]["total_ms"]) > 0


def test_the_table_shows_pictures_and_the_course_of_a_video(
    score: Command, write_picture: Write, write_video: Write
) -> None:
    dark, bright = halves(51), halves(204)
    picture, clip = write_picture(pixels=bright), write_video([bright] * 10 + [dark] * 10)
    ended = score(picture, clip)
    assert (ended.status, ended.err) == (0, "")
    header, row, name, _, first, second, summary = ended.out.splitlines()
    assert header.split() == ["score", "quality", "cause", "ms", "picture"]
    assert row.split()[:2] == ["80.0", "excellent"]
    assert row.endswith(str(picture))
    assert name == str(clip)
    assert first.split() == ["0:00", "80.0", "80.0", "excellent"]
    assert second.split() == ["0:01", "20.0", "20.0", "poor"]
    assert summary.startswith("20 frames in 2.0 s: mean 50.0 (fair)")
    assert summary.endswith("lowest 20.0, worst second 20.0 at 0:01.0")


def test_the_table_of_a_long_video_stays_short(score: Command, write_video: Write) -> None:
    clip = write_video([np.zeros((32, 32, 3), np.uint8)] * 700, fps=1)
    assert len(score(clip).out.splitlines()) <= 63


@pytest.mark.parametrize("kinds", ["video", "pictures", "both", "crowd"])
def test_plot_is_a_png_that_shows_something(
    score: Command, write_picture: Write, write_video: Write, tmp_path: Path, kinds: str
) -> None:
    folder = write_picture("album/_$a$ \u4e2d.png").parent
    for number in range(50 if kinds == "crowd" else 0):
        os.link(folder / "_$a$ \u4e2d.png", folder / f"{number}.png")
    clip = write_video([photo(level=level) for level in range(60, 200, 10)])
    inputs = {"video": [clip], "pictures": [folder], "both": [clip, clip, folder], "crowd": [folder]}[kinds]
    ended = score(*inputs, "--plot", tmp_path / "plot.png")
    assert (ended.status, ended.err) == (0, "")
    image = cv2.imread(str(tmp_path / "plot.png"))
    assert image is not None
    assert image.shape[1] >= 800
    assert image.std() > 5


@pytest.mark.parametrize(("level", "height"), [(51, 354), (204, 126)])
def test_the_curve_runs_at_the_height_of_the_score(
    score: Command, write_video: Write, tmp_path: Path, level: int, height: int
) -> None:
    clip = write_video([halves(level)] * 20)
    assert score(clip, "--plot", tmp_path / "plot.png").status == 0
    image = cv2.imread(str(tmp_path / "plot.png"))
    assert image is not None
    rows, columns = np.nonzero((image[50:] == (180, 119, 31)).all(axis=2))  # above is the name, in the same colour
    assert np.abs(rows + 50 - height).max() <= 1
    assert set(range(60, 1091)) <= set(columns.tolist())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_matter(model_path: Path, write_picture: Write, tmp_path: Path, closed: str) -> None:
    command = [*COMMAND, "score", "--model", model_path, write_picture(), "--plot", tmp_path / "plot.png"]
    ended = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("photo.png" in ended.stdout) == (closed == "2>&-")
    assert cv2.imread(str(tmp_path / "plot.png")) is not None


def test_no_bar_where_nobody_watches(score: Command, write_picture: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpiqa.runtime.progress._PATIENCE_S", 0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = score(write_picture("a.png"), write_picture("b.png"))
    assert (ended.status, ended.err) == (0, "")


def test_version_and_help(dpiqa: Command) -> None:
    assert dpiqa("--version").out.startswith("dpiqa")
    assert "PATH" in dpiqa("score", "--help").out
    assert "score" in dpiqa("--help").out


def _album(folder: Path, count: int, shape: tuple[int, int]) -> Path:
    folder.mkdir()
    cv2.imwrite(str(folder / "0.jpg"), photo(*shape))
    for number in range(1, count):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return folder


def _peak_rss_mb(arguments: list[str | Path]) -> float:
    run = "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
    report = "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", run + report, *COMMAND, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("form", ["json", "table"])
def test_memory_stays_flat_over_a_thousand_pictures(tmp_path: Path, model_path: Path, form: str) -> None:
    few, many = _album(tmp_path / "few", 50, (240, 320)), _album(tmp_path / "many", 1000, (240, 320))
    peaks = [_peak_rss_mb(["score", "--model", model_path, "--format", form, folder]) for folder in (few, many)]
    assert peaks[1] < peaks[0] + 15  # the pixels alone are 230 MB


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_behind(
    tmp_path: Path, model_path: Path, number: signal.Signals, status: int
) -> None:
    album, results = _album(tmp_path / "album", 4000, (480, 640)), tmp_path / "out"
    results.mkdir()
    # A shell starts its background jobs, and all below them, with SIGINT ignored; a user's terminal does not.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from dpiqa.cli import main; main()"]
    arguments = ["score", "--model", model_path, album, "--out", results / "r.json", "--plot", results / "r.png"]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size for path in results.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors.strip() == ""
    assert list(results.iterdir()) == []

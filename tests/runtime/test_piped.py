"""Video from standard input, in a container or as bare frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from coded import encode
from made import photo

from dpiqa import InputError
from dpiqa.runtime.video import RawVideo


def _score(stdin: bytes, model: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dpiqa", "score", *arguments, "--model", str(model), "--format", "json"]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


def _scores(stdin: bytes, model: Path, *arguments: str) -> list[float]:
    ended = _score(stdin, model, *arguments)
    assert (ended.returncode, ended.stderr) == (0, b"")
    readings = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {reading["source"] for reading in readings} == {"-"}
    return [reading["score"] for reading in readings if reading["type"] == "reading"]


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return [np.roll(photo(), 40 * number, axis=1) // (number + 1) for number in range(3)]


def test_a_container_scores_as_the_file_does(pictures: list[np.ndarray], model_path: Path, tmp_path: Path) -> None:
    file = encode(tmp_path / "clip.mkv", pictures)
    as_file = _score(b"", model_path, str(file))
    wanted = [json.loads(line) for line in as_file.stdout.splitlines()]
    scores = _scores(file.read_bytes(), model_path, "-")
    assert scores == [reading["score"] for reading in wanted if reading["type"] == "reading"]
    assert len(scores) == len(pictures)


@pytest.mark.slow
def test_bare_frames_need_their_layout(pictures: list[np.ndarray], model_path: Path) -> None:
    frames = [av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="nv12") for picture in pictures]
    height, width = pictures[0].shape[:2]
    stream = b"".join(frame.to_ndarray().tobytes() for frame in frames)
    scores = _scores(stream, model_path, "-", "--raw", f"nv12:{width}x{height}@10")
    assert len(scores) == len(pictures)
    assert scores == sorted(scores, reverse=True)  # each is darker than the one before
    ended = _score(stream, model_path, "-")
    assert (ended.returncode, ended.stderr) == (2, b"dpiqa: -: not a video that can be decoded\n")


def test_nothing_is_one_line(model_path: Path) -> None:
    ended = _score(b"", model_path, "-", "--raw", "gray:64x64")
    assert (ended.returncode, ended.stderr) == (2, b"dpiqa: -: no frame of this video can be decoded\n")
    ended = _score(b"", model_path, "photo.jpg", "--raw", "gray:64x64")
    assert (ended.returncode, ended.stderr) == (2, b"dpiqa: --raw gray:64x64: is for standard input, name it as -\n")


@pytest.mark.parametrize(
    "text", ["", "nv12", "nv12:1920", "nv12:1920x1080@", "nv12:1920x1080@0", "nv13:64x64", "nv12:-1x8"]
)
def test_a_layout_that_says_too_little_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected FORMAT:WIDTHxHEIGHT@FPS"):
        RawVideo.parse(text)


def test_a_layout_is_read() -> None:
    assert RawVideo.parse("nv12:1920x1080@29.97") == ("nv12", 1920, 1080, 29.97)
    assert RawVideo.parse("yuv420p:64x48") == ("yuv420p", 64, 48, 25)

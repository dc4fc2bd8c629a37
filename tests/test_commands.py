"""Every shell block and Python example of README and documentation runs, or says what it needs and is parsed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from shell_blocks import NEEDS, PAGES, ROOT, Block, blocks, check_arguments, check_paths, check_requirements

BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in BLOCKS if not block.needs and not block.run_by]
PYTHON = [
    (page, code)
    for page in PAGES
    for code in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]
# Programs of the reader's own: they bring frames to standard output.
OTHERS = {"camera": "head -c $((1920 * 1080 * 3)) /dev/urandom", "ffmpeg": "cat live.y4m"}


def _readme_first(block: Block) -> object:
    return pytest.param(block, id=block.name, marks=() if block.page.name == "README.md" else pytest.mark.slow)


@pytest.fixture(scope="module")
def belongings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader has: pictures, videos, models, and the repository's own files."""
    folder = tmp_path_factory.mktemp("belongings")
    capture = cv2.VideoCapture(str(ROOT / "examples" / "clip.mp4"))
    clean = cv2.resize(capture.read()[1], (640, 360), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(clean, (0, 0), 4)
    for name in (
        "shots/2024/a.png",
        "shots/b.png",
        "renders/one.png",
        "PHOTOS/one.png",
        "cam/1.jpg",
        "DCIM/1.jpg",
        "photo.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), clean)
    for name in ("shots/c.png", "cam/2.jpg", "DCIM/2.jpg"):
        cv2.imwrite(str(folder / name), blurred)
    for name in ("movie.mkv", "film.mkv"):
        _write_video(folder / name, [clean, blurred] * 10)
    planes = cv2.cvtColor(clean, cv2.COLOR_BGR2YUV_I420).tobytes()
    (folder / "live.y4m").write_bytes(b"YUV4MPEG2 W640 H360 F25:1 Ip A1:1 C420jpeg\n" + 3 * (b"FRAME\n" + planes))
    rows = ["image,mos"]
    for number in range(50):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.GaussianBlur(clean, (0, 0), 0.1 + number / 10)[::4, ::4])
        rows.append(f"{number}.png,{90 - number}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    for name, shipped in (("mine.onnx", "dpiqa-lite0.onnx"), ("mine-int8.onnx", "dpiqa-lite0-int8.onnx"),
                          ("mine.md", "dpiqa-lite0.md")):  # fmt: skip
        shutil.copyfile(ROOT / "models" / shipped, folder / name)
    for name in ("models", "examples", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, line in OTHERS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / "bin" / name).chmod(0o755)
    return folder


def _write_video(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        container.mux(stream.encode())


def _run(command: list[str], belongings: Path, folder: Path) -> None:
    for entry in belongings.iterdir():
        (folder / entry.name).symlink_to(entry)
    path = os.pathsep.join([str(belongings / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "DPIQA_CACHE": str(belongings / "cache")}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]


@pytest.mark.parametrize("block", [_readme_first(block) for block in RUN])
def test_a_block_runs(block: Block, belongings: Path, tmp_path: Path) -> None:
    _run(["bash", "-euo", "pipefail", "-c", block.text], belongings, tmp_path)


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[page.stem for page, _ in PYTHON])
def test_a_python_example_runs(page: Path, code: str, belongings: Path, tmp_path: Path) -> None:
    frame = "import numpy\nnv12 = numpy.zeros((1620, 1920), numpy.uint8)\n" if "nv12" in code else ""
    _run([sys.executable, "-W", "error", "-c", frame + code], belongings, tmp_path)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_what_a_block_names_exists(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    assert set(block.needs) <= NEEDS
    commands = list(block.commands())
    for words in commands:
        check_arguments(words)
        check_paths(words)
        if words[:2] == ["pip", "install"]:
            check_requirements(words)
    if block.run_by:
        scripts = [Path(word).name for words in commands for word in words if word.endswith(".sh")]
        assert any(name in (ROOT / block.run_by).read_text() for name in [block.page.name, *scripts])


@pytest.mark.parametrize("words", ["dpiqa score a.jpg --no-such", "dpiqa train nothing", "dpiqa export trt --dla x"])
def test_a_wrong_argument_is_noticed(words: str) -> None:
    with pytest.raises(Exception, match=r"No such option|no verb|valid integer"):
        check_arguments(words.split())


def test_a_wrong_path_or_extra_is_noticed() -> None:
    with pytest.raises(AssertionError):
        check_requirements(["pip", "install", ".[nothing]"])
    with pytest.raises(AssertionError):
        check_paths(["cc", "examples/nothing.c"])


def test_a_marked_block_is_not_run_and_the_rest_is_cut_at_its_ends() -> None:
    page = ROOT / "docs" / "monitoring.md"
    marked = blocks(page)[0]
    assert "a camera" in marked.needs
    words = list(marked.commands())
    assert words[0][:2] == ["pip", "install"]
    assert words[-1] == ["dpiqa", "monitor", "cameras.yaml"]

"""C programs as the documentation makes them: with the installed library, and with one that its lines build in a copy
with blanks in its path and the environment inside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests/cpp_bindings/data/tiny.onnx"
MISSING = [tool for tool in ("make", "c++", "pkg-config") if not shutil.which(tool)]


def _run(line: str, folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        ["bash", "-euc", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, f"{line}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
    return ended.stdout


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another device
        shutil.copyfile(source, target)


def _lines(heading: str, start: str) -> list[str]:
    """The shell lines under a heading of the page on embedding that start so."""
    section = (ROOT / "docs" / "embedding.md").read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^    ((?:{start})\b.*)$", section, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_c_program_runs_with_the_installed_library(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.mp4"))
    lines = _lines("## Without building", "core|cc")
    assert len(lines) == 2
    _run("\n".join(lines), tmp_path, {**os.environ})
    (tmp_path / "frame.nv12").write_bytes(bytes(range(256)) * 36)
    output = _run(f'./score_nv12 "{TINY}" 96 64 < frame.nv12', tmp_path, {**os.environ})
    assert '"score":' in output


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
@pytest.mark.parametrize("generator", ["Unix Makefiles", "Ninja"])
def test_every_line_works_with_the_environment_inside_the_clone(tmp_path: Path, generator: str) -> None:
    if generator == "Ninja" and not shutil.which("ninja"):
        pytest.skip("needs ninja")
    clone = tmp_path / "a clone"
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if name.split("/")[0] in ("CMakeLists.txt", "LICENSE", "cmake", "cpp_bindings", "examples"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, clone / name)
    packages = clone / ".venv/lib/python3/site-packages"
    wheel = find_spec("openvino")
    assert wheel
    assert wheel.origin
    shutil.copytree(Path(wheel.origin).parent, packages / "openvino", copy_function=_link)
    (clone / ".venv/bin").mkdir()
    interpreter = clone / ".venv/bin/python3"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    # The distribution's CMake and Make come before those of a virtual environment.
    path = f"{interpreter.parent}:/usr/bin:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CMAKE_BUILD_PARALLEL_LEVEL": "2", "CMAKE_GENERATOR": generator}
    environment.pop("LD_LIBRARY_PATH", None)

    lines = _lines("## Build", "cmake|cc")
    assert len(lines) == 3
    for line in lines:
        _run(line.replace("cmake -S . ", f'cmake -S . "-DPython_EXECUTABLE={interpreter}" '), clone, environment)
    frame = bytes(range(256)) * 36
    (clone / "frame.nv12").write_bytes(frame)
    for program in ("build/examples/score_nv12", "build/score_nv12"):
        output = _run(f'"{program}" "{TINY}" 96 64 < frame.nv12', clone, environment)
        assert '"score":' in output

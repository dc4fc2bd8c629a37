"""A model that was opened before a fork refuses in the child, soon and in one line; one opened there works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAD = """
import multiprocessing, os, sys, time
import numpy as np
from dpiqa import Scorer
from dpiqa.errors import EngineError
pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)

def attempt(_):
    began = time.monotonic()
    try:
        scorer.score(pixels)
    except EngineError as error:
        assert "before it forked this one" in str(error) and "\\n" not in str(error)
        return time.monotonic() - began
    return 1000.0

if __name__ == "__main__":
    model, engine = sys.argv[1:]
    scorer = Scorer(model, engine, threads=2)
    expected = scorer.score(pixels).score
"""
_POOL = """
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert max(pool.map(attempt, range(4))) < 1
"""
_FORK = """
    child = os.fork()
    if child == 0:
        status = 0 if attempt(0) < 1 else 1
        scorer = None  # destroying it must not wait for threads that are not there
        if engine == "openvino":
            sys.exit(status)
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
_NATIVE = """
    from dpiqa.native import Model
    handle = Model(model)
    child = os.fork()
    if child == 0:
        try:
            handle.score(pixels)
        except EngineError as error:
            os._exit(0 if "open a scorer after the fork" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
_TAIL = """
    assert scorer.score(pixels).score == expected
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="POSIX processes")
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("body", [_POOL, _FORK, _NATIVE], ids=["multiprocessing", "fork", "the core"])
def test_the_child_refuses_and_the_parent_goes_on(model_path: Path, tmp_path: Path, engine: str, body: str) -> None:
    script = tmp_path / "forks.py"
    script.write_text(_HEAD + body + _TAIL)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", script, model_path, engine], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")

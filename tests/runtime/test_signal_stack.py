"""A signal that is handled after a model was closed on another thread finds a stack to be handled on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import faulthandler, os, signal, sys, threading
from dpiqa import Scorer
if sys.argv[3] == "kept":
    faulthandler.enable()  # gives this thread an alternate stack, as much else does
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
scorers = [Scorer(sys.argv[1], sys.argv[2], threads=1)]
os.kill(os.getpid(), signal.SIGUSR1)
other = threading.Thread(target=scorers.clear)
other.start()
other.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize("stack", ["none", "kept"])
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_signal_after_the_last_model_is_handled(model_path: Path, tmp_path: Path, engine: str, stack: str) -> None:
    script = tmp_path / "signals.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, script, model_path, engine, stack]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "handled\nhandled\n", "")

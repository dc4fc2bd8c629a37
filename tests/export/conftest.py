"""A tiny untrained student, as a checkpoint and exported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import Run, call_module, run_module

from dpiqa.export.graphs.student import resize_model
from dpiqa.export.graphs.transform import input_of
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.program import run as run_command
from dpiqa.train.students.model import Student


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a module as a user does: `run("export.onnx", "--out", path)`."""
    return run_module


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, without the seconds of starting one: `call(main, "--out", path)`."""

    def call_command(command: Callable[..., Any], *arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_command(command)
        assert isinstance(ended.value.code, int)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, ended.value.code, out, err)

    return call_command


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained student at 96x64, with batch statistics that are not the identity."""
    torch.manual_seed(0)
    student = Student()
    for name, value in student.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.add_(torch.rand_like(value) * 0.1)
    about = {
        "student": student.config,
        "input": {"height": 96, "width": 64, "resize": "area"},
        "trained_on": [{"name": "csv", "split": "ratio:0", "images": 3}],
    }
    path = tmp_path_factory.mktemp("checkpoint") / "best.pt"
    torch.save({"about": about, "ema": student.state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped student for frames of 128x128, which it scores nine times as fast."""
    out = tmp_path_factory.mktemp("small") / "small.onnx"
    resize_model(shipped_model("dpiqa-lite0"), out, input_of(128, 128))
    return out


@pytest.fixture(scope="session")
def exported(checkpoint: Path) -> Path:
    """The same student as ONNX with its contract."""
    out = checkpoint.with_name("tiny.onnx")
    done = call_module("export.onnx", "--checkpoint", checkpoint, "--out", out, "--name", "tiny", "--licence", "MIT")
    assert done.returncode == 0, done.stderr
    return out

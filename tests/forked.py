"""Commands in this process, or in one of their own, forked from one that took 5 s to import the large libraries."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dpiqa.runtime.program import run as run_command

Run = Callable[..., subprocess.CompletedProcess[str]]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["onnx", "onnxruntime", "pandas", "scipy.stats", "timm", "torch", "torchvision"])


def call_module(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What `python -m module arguments` ends with and writes, in this process, in which it must leave no trace."""
    main, command = import_module(f"dpiqa.{module}").main, [module, *map(str, arguments)]
    out, err, handler = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            run_command(main)
    signal.signal(signal.SIGTERM, handler)
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def run_module(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        command = [module, *map(str, arguments)]
        process = _CONTEXT.Process(target=_run, args=(command, out, err, str(Path.cwd()), dict(os.environ)))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())


def _run(command: list[str], out: Path, err: Path, folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)

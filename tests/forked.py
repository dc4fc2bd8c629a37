"""Commands in processes of their own, forked from one that has imported the large libraries, which takes 5 s, once."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

Run = Callable[..., subprocess.CompletedProcess[str]]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["onnx", "onnxruntime", "pandas", "scipy.stats", "timm", "torch", "torchvision"])


def run_module(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What `python -m module arguments` ends with and writes."""
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

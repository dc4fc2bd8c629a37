"""The public API's types, as a strict checker sees them from outside: in the installed layout, stubs included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_RUNTIME = (f"runtime.{name}" for name in ("scorer", "reading", "spec", "prediction", "engines.base"))
PUBLIC = tuple(f"dpiqa.{name}." for name in ("native", "errors", *_RUNTIME))


def _installed(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "cpp_bindings" / "python" / "dpiqa", site / "dpiqa")
    shutil.copytree(ROOT / "runtime", site / "dpiqa" / "runtime", ignore=shutil.ignore_patterns("dashboard"))
    return site


def _checked(tmp_path: Path, program: str) -> list[str]:
    _installed(tmp_path)
    (tmp_path / "program.py").write_text(program)
    settings = {"include": ["program.py"], "extraPaths": ["site"], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return [entry["message"] for entry in json.loads(ended.stdout)["generalDiagnostics"]]


@pytest.mark.slow
def test_a_program_that_uses_all_of_it_passes_in_strict_mode(tmp_path: Path) -> None:
    assert _checked(tmp_path, (ROOT / "tests" / "api_consumer.py").read_text()) == []


@pytest.mark.slow
def test_wrong_use_is_noticed(tmp_path: Path) -> None:
    program = 'from dpiqa import Scorer, native\nScorer(threads="two")\nnative.Model("m.onnx", engine="none")\n'
    wrong = _checked(tmp_path, program + 'Scorer().score("a.jpg").scores\n')
    assert [message.partition("\n")[0] for message in wrong if "annot" in message]
    assert len(wrong) >= 3


@pytest.mark.slow
def test_every_public_name_has_a_type_that_no_checker_must_guess(tmp_path: Path) -> None:
    """Of the names of the package, and of all that their signatures mention."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(_installed(tmp_path)), "PATH": path}
    command = [sys.executable, "-m", "pyright", "--verifytypes", "dpiqa", "--ignoreexternal", "--outputjson"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    symbols = json.loads(ended.stdout)["typeCompleteness"]["symbols"]
    public = [symbol for symbol in symbols if symbol["name"].startswith(PUBLIC)]
    assert len(public) > 100
    assert [symbol["name"] for symbol in public if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]] == []

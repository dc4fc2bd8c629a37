"""The public API's types, as a strict checker sees them from outside: in the installed layout, stubs included."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _checked(tmp_path: Path, program: str) -> list[str]:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "cpp_bindings" / "python" / "dpiqa", site / "dpiqa")
    shutil.copytree(ROOT / "runtime", site / "dpiqa" / "runtime", ignore=shutil.ignore_patterns("dashboard"))
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

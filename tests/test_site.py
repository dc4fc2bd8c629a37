"""The documentation as a site: every link and reference leads somewhere, and no page asks another host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_LOADED = re.compile(r'<(?:script|img|link|iframe)[^>]*\s(?:src|href)="(https?://[^"]+)"')


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_stands_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    pages = {page: page.read_text() for page in tmp_path.rglob("index.html")}
    assert len(pages) > 20
    assert {page: loaded for page, text in pages.items() if (loaded := _LOADED.findall(text))} == {}
    reference = (tmp_path / "python" / "index.html").read_text()
    for name in ("dpiqa.Scorer.score", "dpiqa.Scorer.stream", "dpiqa.errors.InputError"):
        assert f'id="{name}"' in reference

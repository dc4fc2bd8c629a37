"""Files that a code host reads, against the schemas that it publishes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GITHUB = Path(__file__).parents[1] / ".github"
FILES = [
    *((path, "github-workflows") for path in sorted(GITHUB.glob("workflows/*.yml"))),
    *((path, "github-issue-forms") for path in sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml"))),
]


@pytest.mark.parametrize(("path", "schema"), FILES, ids=lambda value: getattr(value, "name", value))
def test_a_file_is_what_its_schema_asks_for(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout

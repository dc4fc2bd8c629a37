"""The monitor's reference and schema are those of its code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "reference.md"
    subprocess.run([sys.executable, ROOT / "docs" / "make_monitor_reference.py", made], check=True)
    assert made.read_text() == (ROOT / "docs" / "monitor_reference.md").read_text()


def test_the_schema_takes_the_example_and_refuses_a_misspelt_field() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    command = [sys.executable, "-m", "dpiqa", "monitor", "--schema"]
    schema = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    example = yaml.safe_load((ROOT / "examples" / "monitor" / "cameras.yaml").read_text())
    jsonschema.validate(example, schema)
    example["cameras"][0]["alarms"] = {"frozn": {}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example, schema)

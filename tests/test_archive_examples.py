"""The cluster files of examples/archive: valid, of the tested version of Ray, and with commands that exist."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import typer
import yaml

from dpiqa.cli import app

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "archive"
RAY = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]


def parses(command: str) -> None:
    """Raises where `dpiqa archive` has not these options."""
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("dpiqa", "archive")
    group: Any = typer.main.get_command(app)
    group.commands["archive"].make_context("archive", arguments)


def test_the_cluster_launcher_takes_its_file() -> None:
    text = (EXAMPLES / "aws.yaml").read_text()
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    settings = yaml.safe_load(text)
    jsonschema.validate(settings, schema)
    assert settings["head_node_type"] in settings["available_node_types"]
    assert f"ray[default]=={RAY}" in settings["setup_commands"][0]
    (command,) = re.findall(r"'(dpiqa archive .*)'", text)
    parses(command)


def test_the_job_on_kubernetes_is_one_of_ours() -> None:
    job = yaml.safe_load((EXAMPLES / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    parses(job["spec"]["entrypoint"])
    assert "--resume" in job["spec"]["entrypoint"]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == RAY
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [container for group in groups for container in group["template"]["spec"]["containers"]]
    assert len({container["image"] for container in containers}) == 1
    assert all(container["resources"]["limits"] for container in containers)

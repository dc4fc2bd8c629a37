"""What systemd is told, by a socket that takes its place."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from live import encode, moving
from messages import wait_for

from dpiqa.runtime.monitor.supervisor import Supervisor


def test_systemd_hears_ready_beats_and_the_end(tmp_path: Path, model_path: Path) -> None:
    clip = encode(tmp_path / "clip.ts", moving(200))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000", "PATH": "/usr/bin"}
        settings = tmp_path / "cameras.yaml"
        settings.write_text(f"model: {model_path}\ncameras: [{{source: {clip}, paced: true, live: true}}]\n")
        command = [sys.executable, "-m", "dpiqa", "monitor", settings, "--sqlite", "none"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            assert systemd.recv(100) == b"READY=1"
            assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.send_signal(signal.SIGTERM)
            last: list[bytes] = []
            wait_for(lambda: last.append(systemd.recv(100)) or last[-1] == b"STOPPING=1", "the end")


def test_a_process_that_systemd_did_not_start_tells_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Supervisor().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    supervisor = Supervisor()
    supervisor.ready()
    supervisor.stopping()

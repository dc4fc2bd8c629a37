"""What the tests of network sinks share: programs of the system, ports, and sinks that are closed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.queued import QueuedSink
from dpiqa.runtime.monitor.sinks.registry import SinkSet


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name} (Debian package {'prometheus' if name == 'promtool' else name})")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def sinks_of(**settings: object) -> Iterator[list[QueuedSink]]:
    sinks = SinkSet(SinkSettings.model_validate({"sqlite": None} | settings)).sinks
    try:
        yield sinks
    finally:
        for sink in sinks:
            sink.close(5)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

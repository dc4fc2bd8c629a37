"""`dpiqa monitor` as a user meets it: flags, exit status, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from live import RtspServer, encode, moving, rtsp_missing
from made import Ended

from dpiqa.runtime import machine
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.monitor.service import CommandLine, MonitorService

Command = Callable[..., Ended]

_RUN = [sys.executable, "-m", "dpiqa", "monitor"]


@pytest.fixture
def monitor(dpiqa: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: dpiqa("monitor", "--model", model_path, "--engine", "onnxruntime", *arguments)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _wait(is_so: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def _running(*arguments: object, errors: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*_RUN, *map(str, arguments)], stderr=errors, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_video_is_watched_to_its_end(monitor: Command, stream: Path, tmp_path: Path) -> None:
    ended = monitor(stream, "--fps", 10, "--jsonl", "out.jsonl", "--csv", "out.csv")
    assert ended.status == 0
    assert re.fullmatch(r"[0-9-]{10}T[0-9:.]{12}Z", ended.err.split(" ")[0])
    assert any(line.endswith(f" INFO {stream}: connecting, opening file source") for line in ended.err.splitlines())
    lines = _lines(tmp_path / "out.jsonl")
    assert {line["type"] for line in lines} == {"reading", "status"}
    assert all(line["source"] == str(stream) and line["wall_time"] > 1e9 for line in lines)
    readings = [line for line in lines if line["type"] == "reading"]
    assert [line["pts_s"] for line in readings[:3]] == [0.0, 0.12, 0.2]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + len(readings) == 21
    assert (tmp_path / "dpiqa-history.db").stat().st_size > 0


def test_without_a_history_nothing_is_written(monitor: Command, stream: Path, tmp_path: Path) -> None:
    assert monitor(stream, "--sqlite", "none").status == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "flags", "model"),
    [
        ("openvino", "fpu avx2 avx512_vnni", INT8_MODEL),
        ("openvino", "fpu avx2", INT8_MODEL),
        ("openvino", "fpu sse4_1 avx", DEFAULT_MODEL),
        ("openvino", "fp asimd asimddp i8mm", DEFAULT_MODEL),  # 64-bit Arm
        ("onnxruntime", "fpu avx2 avx512_vnni", DEFAULT_MODEL),
    ],
)
def test_the_model_is_the_one_that_costs_least(
    stream: Path,
    engine: str,
    flags: str,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if engine == "openvino" and (reason := why_absent()):
        pytest.skip(f"needs the native core: {reason}")
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    with caplog.at_level("INFO", "dpiqa"):
        service = MonitorService(CommandLine([str(stream)], None, {"engine": engine}, {"sqlite": "none"}))
    assert service.monitor.engine.spec == open_engine(shipped_model(model), engine).spec
    sentence = f"scoring with {DEFAULT_MODEL}: INT8 is no faster with {engine} on this processor"
    assert caplog.text.count(sentence) == (model == DEFAULT_MODEL)
    assert service.run() == 0
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")  # the processor does less when it is told to
    assert not machine.int8_is_faster()


def test_a_model_that_is_named_is_taken_on_every_processor(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2\n")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    settings = {"engine": "onnxruntime", "model": str(shipped_model(INT8_MODEL))}
    service = MonitorService(CommandLine([str(stream)], None, settings, {"sqlite": "none"}))
    assert service.monitor.engine.spec.precision == "int8"
    assert service.run() == 0


def test_sources_without_a_frame_show_in_the_status(monitor: Command, stream: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    assert monitor("text.mp4", "--sqlite", "none").status == 2
    ended = monitor("text.mp4", stream, "--sqlite", "none")
    assert ended.status == 1
    assert " WARNING text.mp4: down, not a video that can be decoded" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no source to monitor"),
        (["gone.mp4"], "gone.mp4: no such file, folder or address"),
        ([".", "--fps", "0"], "--fps: Input should be greater than 0"),
        ([".", "--engine", "magic"], "unknown engine 'magic'"),
        ([".", "."], "2 cameras are called '.'"),
        ([".", "--prometheus", "here"], "--prometheus: expected HOST:PORT"),
        ([".", "--mqtt", "http://me:hush@h"], "--mqtt: expected a URL that begins with mqtt://"),
        ([".", "--webhook", "ftp://me:hush@h"], "--webhook: expected a URL that begins with http://"),
        ([".", "--dashboard", "here"], "--dashboard: expected HOST:PORT, such as 127.0.0.1:8080"),
        ([".", "--dashboard", "127.0.0.1:99999"], "--dashboard: Input should be less than or equal to 65535"),
        ([".", "--dashboard", ":8080"], "--dashboard: 0.0.0.0 can be reached from other machines: set a token"),
        ([".", "--dashboard", "127.0.0.1:8080"], "the dashboard reads the history: keep sqlite enabled"),
        ([".", "--jsonl", "no/such/folder/x"], "cannot be written, no such file or directory"),
        (["--config", "gone.yaml"], "gone.yaml: no such file or directory"),
        (["a.yaml", "--config", "b.yaml"], "b.yaml: only one settings file is allowed, a.yaml is already given"),
    ],
)
def test_a_wrong_command_line_is_one_line(monitor: Command, tmp_path: Path, arguments: list[str], words: str) -> None:
    ended = monitor(*arguments, *([] if "--jsonl" in arguments else ["--sqlite", "none"]))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("dpiqa: ")
    assert ended.err.count("\n") == 1
    assert words in ended.err
    assert "hush" not in ended.err


def test_check_only_checks(monitor: Command, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("cameras: [{source: rtsp://h/a}, {source: rtsp://h/b}]\n")
    assert monitor("--check", "good.yaml") == (0, "2 sources to monitor, no problems found\n", "")
    (tmp_path / "bad.yaml").write_text("cameras:\n  - source: rtsp://h/a\n    fps: many\n")
    ended = monitor("--check", "bad.yaml")
    assert ended.status == 2
    assert ended.err.startswith("dpiqa: bad.yaml:3: cameras.0.fps: Input should be a valid number")
    (tmp_path / "missing.yaml").write_text("cameras: [{source: gone.mp4}]\n")
    assert "gone.mp4: no such file" in monitor("--check", "missing.yaml").err
    assert monitor("--check", ".").out == "1 source to monitor, no problems found\n"
    ended = monitor("--check", ".", "--model", "gone.onnx")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "gone.onnx: no such model file" in ended.err
    assert not (tmp_path / "dpiqa-history.db").exists()


def test_without_the_extra_one_line_says_what_to_install(stream: Path) -> None:
    lacking = "import sys; sys.modules['av'] = None; from dpiqa.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", lacking, "monitor", stream], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr == "dpiqa: the package 'av' is missing, install it with: pip install '.[monitor]'\n"


def test_standard_input_is_watched(model_path: Path, stream: Path) -> None:
    command = [*_RUN, "-", "--model", str(model_path), "--sqlite", "none", "--jsonl", "-"]
    with stream.open("rb") as file:
        ended = subprocess.run(command, stdin=file, capture_output=True, check=True)
    readings = [line for line in map(json.loads, ended.stdout.splitlines()) if line["type"] == "reading"]
    assert [line["source"] for line in readings] == ["-"] * 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_though_a_source_is_silent(
    number: signal.Signals, model_path: Path, tmp_path: Path
) -> None:
    if reason := rtsp_missing():
        pytest.skip(reason)
    clip, out = encode(tmp_path / "clip.mp4", moving(100)), tmp_path / "out.jsonl"
    arguments = ["--model", model_path, "--jsonl", out, "--sqlite", tmp_path / "history.db"]
    with RtspServer(clip) as server, _running(server.url(), server.url() + "?x", *arguments) as process:
        _wait(lambda: len([line for line in _lines(out) if line["type"] == "reading"]) > 5)
        with server.frozen():
            time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
            assert time.monotonic() - began < 2
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert _lines(out)[-1]["type"] == "status"
    assert _lines(out)[-1]["scored"] > 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX signals")
def test_sighup_reloads_the_settings(model_path: Path, tmp_path: Path) -> None:
    config, out, log = tmp_path / "cameras.yaml", tmp_path / "out.jsonl", tmp_path / "log.txt"
    clips = [encode(tmp_path / f"{name}.ts", moving(300)) for name in "abc"]
    head = f"model: {model_path}\nsinks: {{sqlite: null, jsonl: {out}}}\ncameras:\n"
    camera = "  - {{source: {}, name: {}, paced: true, live: true}}\n"
    config.write_text(head + camera.format(clips[0], "a") + camera.format(clips[1], "b"))

    def seen() -> set[str]:
        return {line["source"] for line in _lines(out) if line["type"] == "reading"}

    good = head + camera.format(clips[0], "a") + camera.format(clips[2], "c")
    with log.open("w") as file, _running("--config", config, errors=file) as process:
        _wait(lambda: seen() == {"a", "b"})
        for text, refusal in (("cameras: [\n", f"{config}:"), (good.replace(str(out), "/no/such/x"), "/no/such/x:")):
            config.write_text(text)
            os.kill(process.pid, signal.SIGHUP)
            _wait(lambda refusal=refusal: f"not reloaded: {refusal}" in log.read_text())
        config.write_text(good)
        os.kill(process.pid, signal.SIGHUP)
        _wait(lambda: seen() == {"a", "b", "c"})  # in the file that the refused settings had closed
        process.terminate()
        process.wait(10)
    errors = log.read_text()
    assert process.returncode == 0
    assert "reloaded, monitoring 2 sources" in errors
    assert errors.count("a: connecting") == 1
    assert "b: no longer monitored" in errors

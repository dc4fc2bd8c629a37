"""Prometheus, MQTT and webhooks against the real thing: scraped, restarted, refused."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from messages import BEGAN, event, reading, status, wait_for
from paho.mqtt.enums import CallbackAPIVersion

from runtime.errors import InputError
from runtime.monitor.alarms import KINDS
from runtime.monitor.sinks import QueuedSink, SinkSettings, open_sinks
from runtime.monitor.sinks.mqtt import source_topic
from runtime.monitor.types import to_json

EXAMPLES = Path(__file__).parents[3] / "examples"


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
    sinks = open_sinks(SinkSettings.model_validate({"sqlite": None} | settings))
    try:
        yield sinks
    finally:
        for sink in sinks:
            sink.close(5)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Prometheus


def test_prometheus_scrapes_every_metric(tmp_path: Path) -> None:
    prometheus = tool("prometheus")
    ours, theirs = free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"scrape_configs: [{{job_name: dpiqa, scrape_interval: 1s, static_configs: "
        f"[{{targets: ['127.0.0.1:{ours}']}}]}}]\n"
    )
    command = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}", f"--web.listen-address=127.0.0.1:{theirs}"]

    def ask(query: str) -> list[tuple[dict[str, str], float]]:
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"http://127.0.0.1:{theirs}/api/v1/query", params={"query": query})
            if answer.status_code == 200:
                return [(item["metric"], float(item["value"][1])) for item in answer.json()["data"]["result"]]
        return []

    with sinks_of(prometheus=f"127.0.0.1:{ours}", jsonl=tmp_path / "m.jsonl") as sinks, running(prometheus, *command):
        for sink in sinks:
            for message in (status(), reading(1, 61.5), status(scored=40, dropped=7, reconnects=2), event()):
                sink.put(message)
        wait_for(lambda: bool(ask("dpiqa_event_active == 1")), "a scrape", 30)

        def value(query: str) -> float:
            (found,) = ask(query)
            return found[1]

        assert value('dpiqa_score{source="cam"}') == 61.5
        assert value("dpiqa_score_baseline") == 79
        assert value('dpiqa_cause_ratio{cause="noise"}') == 0.4
        assert value('dpiqa_signal_ratio{signal="brightness"}') == 0.5
        assert value("dpiqa_last_frame_timestamp_seconds") == BEGAN + 1
        assert value("dpiqa_source_up") == 1
        assert value("dpiqa_source_reconnects_total") == 2
        assert value('dpiqa_frames_total{outcome="scored"}') == 40
        assert value('dpiqa_frames_total{outcome="dropped"}') == 7
        assert value('dpiqa_stage_duration_seconds_sum{stage="infer"}') == pytest.approx(0.02)
        assert value('dpiqa_events_total{kind="Frozen"}') == 1
        assert {labels["kind"] for labels, _ in ask("dpiqa_event_active")} == set(KINDS)
        assert value('dpiqa_sink_messages_total{sink="jsonl",outcome="written"}') == 4
        assert value('dpiqa_sink_messages_total{sink="jsonl",outcome="failed"}') == 0


def test_a_source_that_was_removed_leaves_no_metrics() -> None:
    port = free_port()
    with sinks_of(prometheus=f"127.0.0.1:{port}") as (sink,):
        for source in ("kept", "gone"):
            for message in (status(source=source), reading(source=source), event(source=source)):
                sink.put(message)
        sink.put(status("removed", "gone"))
        wait_for(lambda: sink.counts.written == 7, "the messages")
        served = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'dpiqa_source_up{source="kept"} 1.0' in served
    assert "gone" not in served


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot serve metrics on 127.0.0.1:{port}, address already in use"):
            open_sinks(SinkSettings.model_validate({"sqlite": None, "prometheus": f"127.0.0.1:{port}"}))


def test_the_alert_rules_fire_as_promtool_sees_it() -> None:
    promtool = tool("promtool")
    for arguments in (["check", "rules", "dpiqa.rules.yml"], ["test", "rules", "dpiqa.tests.yml"]):
        ran = subprocess.run(
            [promtool, *arguments], cwd=EXAMPLES / "prometheus", capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_board_asks_for_metrics_that_there_are() -> None:
    board = json.loads((EXAMPLES / "grafana" / "dpiqa.json").read_text())
    port = free_port()
    with sinks_of(prometheus=f"127.0.0.1:{port}") as sinks:
        for message in (status(), reading(), event()):
            sinks[0].put(message)
        wait_for(lambda: sinks[0].counts.written == 3, "the messages")
        served = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    names = {line.split("{")[0].split(" ")[0] for line in served.splitlines() if line.startswith("dpiqa_")}
    asked = {
        word
        for panel in board["panels"]
        for target in panel.get("targets", [])
        for word in target["expr"].replace("(", " ").replace("{", " ").replace("[", " ").split()
        if word.startswith("dpiqa_")
    }
    assert len(asked) >= 8
    assert asked <= names


# MQTT


class Listener:
    """Another client of the broker, with all that it heard."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str, bool]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def latest(self, topic: str) -> str | None:
        return next((payload for name, payload, _ in reversed(self.heard) if name == topic), None)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe("#", qos=1)

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload.decode(), message.retain))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Start a broker that forgets everything when it stops; the same port every time."""
    mosquitto, port, config = tool("mosquitto"), free_port(), tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[int, subprocess.Popen[bytes]]:
        processes.append(subprocess.Popen([mosquitto, "-c", str(config)], stderr=subprocess.DEVNULL))
        wait_for(lambda: answers(port), "the broker")
        return port, processes[-1]

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mqtt_tells_readings_states_and_farewell(broker: Callable[[], Any], version: str) -> None:
    port, _ = broker()
    settings = {"url": f"mqtt://user:pass@127.0.0.1:{port}", "version": version, "home_assistant": True}
    listener = Listener(port)
    try:
        with sinks_of(mqtt=settings) as (sink,):
            wait_for(lambda: listener.latest("dpiqa/availability") == "online", "online")
            for message in (status(), event(), reading(3, 42)):
                sink.put(message)
            wait_for(lambda: listener.latest("dpiqa/cam/reading") is not None, "the reading")
            late = Listener(port)
            wait_for(lambda: late.latest("dpiqa/cam/event/Frozen") is not None, "what is retained")
        wait_for(lambda: listener.latest("dpiqa/availability") == "offline", "offline")
        assert json.loads(listener.latest("dpiqa/cam/reading") or "") == to_json(reading(3, 42))
        assert json.loads(listener.latest("dpiqa/cam/status") or "") == to_json(status())
        assert json.loads(late.latest("dpiqa/cam/event/Frozen") or "")["state"] == "raised"
        assert json.loads(late.latest("dpiqa/cam/event/Black") or "")["state"] == "cleared"
        assert next(retained for topic, _, retained in late.heard if topic == "dpiqa/cam/event/Frozen")
        late.close()
        score = json.loads(listener.latest("homeassistant/sensor/dpiqa_cam/score/config") or "")
        assert score["state_topic"] == "dpiqa/cam/reading"
        assert score["availability_topic"] == "dpiqa/availability"
        problem = json.loads(listener.latest("homeassistant/binary_sensor/dpiqa_cam/ImageTooBlurry/config") or "")
        assert problem["name"] == "Image too blurry"
        assert problem["state_topic"] == "dpiqa/cam/event/ImageTooBlurry"
    finally:
        listener.close()


def test_mqtt_outlives_its_broker(broker: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    port, process = broker()
    with sinks_of(mqtt=f"mqtt://127.0.0.1:{port}") as (sink,):
        sink.put(reading())
        wait_for(lambda: sink.counts.failed + sink.counts.written == 1, "the first")
        process.kill()
        process.wait()
        for _ in range(3):
            time.sleep(0.1)
            sink.put(reading())
        sink.put(event())
        sink.put(event("raised", "Black"))
        sink.put(event("cleared", "Black"))
        wait_for(lambda: sink.counts.failed >= 2, "lost readings are counted")
        for _ in range(2):  # what there is to say of the first is said when the second is counted
            written = sink.counts.written
            sink.put(status())
            wait_for(lambda written=written: sink.counts.written > written, "a state is kept for later")
        assert "mqtt: no connection to the broker; what it cannot take is lost and counted" in caplog.messages
        assert "works again" not in caplog.text
        broker()
        listener = Listener(port)
        try:
            wait_for(lambda: listener.latest("dpiqa/availability") == "online", "online again", 20)
            wait_for(lambda: listener.latest("dpiqa/cam/event/Frozen") is not None, "the state of the event")
            assert json.loads(listener.latest("dpiqa/cam/event/Frozen") or "")["state"] == "raised"
            wait_for(lambda: listener.latest("dpiqa/cam/event/Black") is not None, "the state of the other")
            assert json.loads(listener.latest("dpiqa/cam/event/Black") or "")["state"] == "cleared"
            sink.put(reading(9))
            wait_for(lambda: listener.latest("dpiqa/cam/reading") is not None, "readings go on")
            wait_for(lambda: "mqtt: works again" in caplog.text, "that it works again")
            sink.put(status("removed"))
            wait_for(lambda: listener.latest("dpiqa/cam/event/Frozen") == "", "what was retained is taken back")
        finally:
            listener.close()


def test_a_kill_leaves_the_last_will(broker: Callable[[], Any]) -> None:
    port, _ = broker()
    listener = Listener(port)
    with sinks_of(mqtt=f"mqtt://127.0.0.1:{port}") as (sink,):
        wait_for(lambda: listener.latest("dpiqa/availability") == "online", "online")
        sink._writer._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        wait_for(lambda: ("dpiqa/availability", "offline", False) in listener.heard, "the last will")
    listener.close()


def test_sources_become_topics_of_one_level_that_stay_apart() -> None:
    assert source_topic("front-door_1") == "front-door_1"
    odd = ["rtsp://cam/1", "rtsp://cam/2", "a+b", "a#b", "Tür", "rtsp___cam_1"]
    topics = {source_topic(name) for name in odd}
    assert len(topics) == len(odd)
    assert all(topic.isascii() and not set(topic) & set("+#/ ") for topic in topics)


# Webhooks


class Hook:
    """A server that answers as it is told to, with all that it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posted: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                code = hook.answers.pop(0) if hook.answers else 200
                hook.posted.append((code, body, dict(self.headers)))
                self.send_response(code)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def test_a_webhook_is_tried_again_until_the_server_takes_it(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answers = [503, 429, 200, 404, 200]
    url = f"http://user:secret@127.0.0.1:{hook.port}/in?token=secret"
    webhook = {"url": url, "headers": {"x-key": "secret"}, "thumbnail": True}
    with sinks_of(webhooks=[webhook]) as (sink,):
        for message in (event(), reading(), event("cleared"), event("raised", "Black")):
            sink.put(message)
        wait_for(lambda: len(hook.posted) == 5, "all was posted", 20)
    assert [(code, body["kind"], body["state"]) for code, body, _ in hook.posted] == [
        (503, "Frozen", "raised"),
        (429, "Frozen", "raised"),
        (200, "Frozen", "raised"),
        (404, "Frozen", "cleared"),  # is never taken, and not tried again
        (200, "Black", "raised"),
    ]
    assert hook.posted[0][1]["thumbnail"] == "/9hqcGVn"
    assert hook.posted[0][2]["x-key"] == "secret"
    assert (sink.counts.written, sink.counts.failed) == (2, 1)
    assert "127.0.0.1 answers 404" in caplog.text
    assert "secret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("runtime", "httpx"))
    )


def test_a_dead_server_delays_neither_scoring_nor_the_end() -> None:
    with sinks_of(webhooks=[{"url": f"http://127.0.0.1:{free_port()}", "queue": 5}]) as (sink,):
        began = time.perf_counter()
        for _ in range(1000):
            sink.put(event())
        assert time.perf_counter() - began < 0.5
        assert sink.counts.dropped >= 900
        began = time.perf_counter()
        sink.close(2)
        assert time.perf_counter() - began < 2
        assert sink.counts.written == 0
        assert sink.counts.dropped + sink.counts.failed == 1000

"""MQTT with a real broker: both versions, restarted, killed."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from messages import event, reading, status, wait_for
from paho.mqtt.enums import CallbackAPIVersion
from real_servers import answers, free_port, sinks_of, tool

from dpiqa.runtime.monitor.messages import Action, to_json
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.mqtt import default_client_id, source_topic
from dpiqa.runtime.monitor.sinks.registry import SinkSet

AVAILABILITY = f"dpiqa/availability/{default_client_id()}"


class Listener:
    """Another client of the broker, with all that it heard."""

    def __init__(self, port: int) -> None:
        self.port = port
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
        self.heard.append((message.topic, message.payload.decode("utf-8", "replace"), message.retain))

    def publish(self, topic: str, payload: str = "", retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

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
            wait_for(lambda: listener.latest(AVAILABILITY) == "online", "online")
            for message in (status(), event(), reading(3, 42)):
                sink.put(message)
            wait_for(lambda: listener.latest("dpiqa/cam/reading") is not None, "the reading")
            late = Listener(port)
            wait_for(lambda: late.latest("dpiqa/cam/event/Frozen") is not None, "what is retained")
        wait_for(lambda: listener.latest(AVAILABILITY) == "offline", "offline")
        assert json.loads(listener.latest("dpiqa/cam/reading") or "") == to_json(reading(3, 42))
        assert json.loads(listener.latest("dpiqa/cam/status") or "") == to_json(status())
        assert json.loads(late.latest("dpiqa/cam/event/Frozen") or "")["state"] == "raised"
        assert json.loads(late.latest("dpiqa/cam/event/Black") or "")["state"] == "cleared"
        assert next(retained for topic, _, retained in late.heard if topic == "dpiqa/cam/event/Frozen")
        late.close()
        device = json.loads(listener.latest("homeassistant/device/dpiqa_cam/config") or "")
        assert device["availability"] == [{"topic": AVAILABILITY}]
        assert device["components"]["score"]["state_topic"] == "dpiqa/cam/reading"
        problem = device["components"]["ImageTooBlurry"]
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
        assert "mqtt: no connection to the broker; messages are lost and counted" in caplog.messages
        assert "works again" not in caplog.text
        broker()
        listener = Listener(port)
        try:
            wait_for(lambda: listener.latest(AVAILABILITY) == "online", "online again", 20)
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
        wait_for(lambda: listener.latest(AVAILABILITY) == "online", "online")
        sink._writer._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        wait_for(lambda: (AVAILABILITY, "offline", False) in listener.heard, "the last will")
    listener.close()


def test_sources_become_topics_of_one_level_that_stay_apart() -> None:
    assert source_topic("front-door_1") == "front-door_1"
    odd = ["rtsp://cam/1", "rtsp://cam/2", "a+b", "a#b", "Tür", "rtsp___cam_1"]
    topics = {source_topic(name) for name in odd}
    assert len(topics) == len(odd)
    assert all(topic.isascii() and not set(topic) & set("+#/ ") for topic in topics)


def test_commands_come_over_mqtt(broker: Callable[[], Any]) -> None:
    port, _ = broker()
    done: list[Action] = []
    settings = SinkSettings.model_validate({"sqlite": None, "mqtt": f"mqtt://127.0.0.1:{port}"})
    opened = SinkSet(settings, done.append)
    listener = Listener(port)
    opened.sinks[0].put(status(source="the door"))
    level = source_topic("the door")
    wait_for(lambda: listener.latest(f"dpiqa/{level}/status") is not None, "the source")
    listener.publish("dpiqa/other/accept")
    for command, payload in (("accept", ""), ("acknowledge", ""), ("mute", "long"), ("mute", "-1"), ("mute", "nan")):
        listener.publish(f"dpiqa/{level}/{command}", payload)
    for minutes in ("30", "0"):
        listener.publish(f"dpiqa/{level}/mute", minutes)
    wait_for(lambda: len(done) >= 4, "commands")
    opened.sinks[0].put(done[2])
    wait_for(lambda: listener.latest(f"dpiqa/{level}/action") is not None, "the action is told")
    opened.close(1)
    listener.close()
    assert [(one.source, one.action, one.by) for one in done] == [
        ("the door", action, "MQTT") for action in ("accept", "acknowledge", "mute", "unmute")
    ]
    assert done[2].until == pytest.approx(done[2].wall_time + 1800)


def test_muted_events_are_not_told(broker: Callable[[], Any]) -> None:
    port, _ = broker()
    listener = Listener(port)
    with sinks_of(mqtt=f"mqtt://127.0.0.1:{port}") as (sink,):
        sink.put(replace(event(), muted=True))
        sink.put(event(kind="Black"))
        wait_for(lambda: "raised" in (listener.latest("dpiqa/cam/event/Black") or ""), "the other event")
        assert json.loads(listener.latest("dpiqa/cam/event/Frozen") or "")["state"] == "cleared"
    listener.close()


def test_the_end_of_one_monitor_leaves_another_online(broker: Callable[[], Any]) -> None:
    port, _ = broker()
    listener = Listener(port)
    first, second = ({"url": f"mqtt://127.0.0.1:{port}", "client_id": name} for name in ("a", "b"))
    with sinks_of(mqtt=first), sinks_of(mqtt=second):
        wait_for(lambda: listener.latest("dpiqa/availability/b") == "online", "online")
        wait_for(lambda: listener.latest("dpiqa/availability/a") == "online", "online")
    with sinks_of(mqtt=first):
        with sinks_of(mqtt=second):
            wait_for(lambda: listener.latest("dpiqa/availability/b") == "online", "online")
        wait_for(lambda: listener.latest("dpiqa/availability/b") == "offline", "offline")
        assert listener.latest("dpiqa/availability/a") == "online"
    listener.close()

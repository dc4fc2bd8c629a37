"""The message that announces a camera to Home Assistant, against what Home Assistant's schemas demand of it.

Written down from `schemas.py`, `sensor.py`, `binary_sensor.py` and `image.py` of its MQTT integration;
`.ci/home_assistant` runs it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from made import Ended
from messages import event, reading, status, wait_for
from real_servers import answers, free_port, running, tool
from test_mqtt import Listener

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.messages import Snapshot, SourceState, to_json
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.home_assistant import device_topic, discovery, outdated_topics
from dpiqa.runtime.monitor.sinks.registry import SinkSet

COMMON = {"platform", "unique_id", "name", "icon", "entity_category", "device_class", "json_attributes_topic"}
COMMON |= {"availability", "availability_mode"}
KEYS = {  # required, and allowed beside those of every entity
    "sensor": ({"state_topic"}, {"value_template", "state_class"}),
    "binary_sensor": ({"state_topic"}, {"value_template", "payload_on", "payload_off"}),
    "image": ({"image_topic"}, {"content_type", "image_encoding"}),
}
CLASSES = {"connectivity", "problem"}  # of those that a binary sensor may have


def components() -> dict[str, dict[str, Any]]:
    return discovery("dpiqa", "dpiqa/availability/x", "cam", "the door")["components"]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """Hears what a broker of its own gets."""
    port, config = free_port(), tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with running(tool("mosquitto"), "-c", str(config)):
        wait_for(lambda: answers(port), "the broker")
        listener = Listener(port)
        yield listener
        listener.close()


def opened(listener: Listener, *sources: str, client_id: str = "x") -> SinkSet:
    """A monitor's only sink, with the names of all its sources."""
    section = {"url": f"mqtt://127.0.0.1:{listener.port}", "home_assistant": True, "client_id": client_id}
    return SinkSet(SinkSettings.model_validate({"sqlite": None, "mqtt": section}), sources=sources)


def device(level: str) -> str:
    return device_topic("homeassistant", level)


def test_a_device_is_what_home_assistant_expects() -> None:
    document = discovery("dpiqa", "dpiqa/availability/x", "cam", "the door")
    assert document.keys() == {"device", "origin", "components", "availability"}
    assert document["availability"] == [{"topic": "dpiqa/availability/x"}]
    assert document["origin"]["name"]
    assert document["device"]["identifiers"]
    unique = [entity["unique_id"] for entity in components().values()]
    assert len(set(unique)) == len(unique)
    for entity in components().values():
        required, allowed = KEYS[entity["platform"]]
        assert required | {"platform", "unique_id"} <= entity.keys()
        assert entity.keys() <= required | allowed | COMMON
        assert entity.get("device_class") is None or entity["device_class"] in CLASSES
        assert not any(sign in entity.get("state_topic", "") for sign in "+#")
    assert {"connection", "picture", "cause", "score", "Frozen", "SignalLoss"} <= components().keys()


@pytest.mark.parametrize(
    ("name", "message", "state"),
    [
        ("score", to_json(reading(score=71.26)), "71.3"),
        ("score", to_json(replace(reading(score=0), void="black")), "None"),  # Home Assistant's word for unknown
        ("cause", to_json(reading()), "noise"),
        ("cause", to_json(reading()) | {"causes": {"noise": 0.1}}, "none"),
        ("cause", to_json(reading()) | {"causes": {"exposure_low": 0.9, "noise": 0.3}}, "exposure low"),
        ("cause", to_json(reading()) | {"causes": {}}, "none"),
        ("connection", to_json(status()), "ON"),
        ("connection", to_json(status("stalled")), "OFF"),
        ("Frozen", to_json(event()), "raised"),
    ],
)
def test_the_templates_read_what_is_published(name: str, message: dict[str, object], state: str) -> None:
    template = Environment().from_string(components()[name]["value_template"])
    assert template.render(value_json=json.loads(json.dumps(message))) == state


@pytest.mark.parametrize("name", ["score", "cause"])
@pytest.mark.parametrize(("state", "word"), [("up", "online"), ("stalled", "offline"), ("ended", "offline")])
def test_a_camera_that_is_down_has_no_score(name: str, state: SourceState, word: str) -> None:
    entity = components()[name]
    monitor, camera = entity["availability"]
    assert entity["availability_mode"] == "all"
    assert (monitor["topic"], camera["topic"]) == ("dpiqa/availability/x", "dpiqa/cam/status")
    template = Environment().from_string(camera["value_template"])
    assert template.render(value_json=to_json(status(state))) == word


def test_a_picture_is_published_now_and_then(listener: Listener) -> None:
    sinks = opened(listener)
    (sink,) = sinks.sinks
    sink.put(status())
    wait_for(lambda: listener.latest(device("cam")) is not None, "the device")
    for _ in range(3):
        sink.put(Snapshot("cam", time.time(), 80, b"\xff\xd8jpeg"))
    sink.put(event())
    wait_for(lambda: "raised" in (listener.latest("dpiqa/cam/event/Frozen") or ""), "all was written")
    sinks.close()
    pictures = [payload for topic, payload, _ in listener.heard if topic == "dpiqa/cam/picture"]
    assert len(pictures) == 1
    assert pictures[0].endswith("jpeg")


def test_a_camera_that_goes_takes_its_device_first(listener: Listener) -> None:
    sinks = opened(listener, "cam")
    wait_for(lambda: listener.latest(device("cam")) is not None, "the device, before any message")
    for state in ("up", "removed"):
        sinks.sinks[0].put(status(state))
    topics = ["dpiqa/cam/status", *(f"dpiqa/cam/event/{kind}" for kind in KINDS)]
    wait_for(lambda: all(listener.latest(topic) == "" for topic in topics), "what was retained is taken back")
    sinks.close()
    empty = [topic for topic, payload, _ in listener.heard if payload == ""]
    assert empty[0] == device("cam")  # Home Assistant would read the empty states as JSON


def test_a_camera_that_is_gone_after_a_restart_is_taken_back(listener: Listener) -> None:
    neighbour = opened(listener, "gate", client_id="y")
    for sources in (["door", "yard"], ["door"]):
        wait_for(lambda: listener.latest(device("gate")) is not None, "the neighbour")
        sinks = opened(listener, *sources)
        wait_for(lambda: listener.latest("dpiqa/availability/x") == "online", "online")
        wait_for(lambda: bool(listener.latest(device("door"))), "the device")
        if "yard" not in sources:
            wait_for(lambda: listener.latest(device("yard")) == "", "the device that is gone")
            wait_for(lambda: listener.latest("dpiqa/yard/event/Frozen") == "", "its state")
        sinks.close()
    neighbour.close()
    assert not any(payload == "" for topic, payload, _ in listener.heard if "gate" in topic or "door" in topic)


def test_the_command_takes_back_what_its_settings_no_longer_have(
    listener: Listener, tmp_path: Path, model_path: Path
) -> None:
    settings = tmp_path / "cameras.yaml"
    sinks = f"{{ sqlite: null, mqtt: {{ url: 'mqtt://127.0.0.1:{listener.port}', home_assistant: true }} }}"
    for names in (["door", "yard"], ["door"]):
        cameras = [f"{{ name: {name}, source: 'tcp://127.0.0.1:{free_port()}' }}" for name in names]
        settings.write_text(f"model: {model_path}\nsinks: {sinks}\ncameras: [{', '.join(cameras)}]\n")
        with running(sys.executable, "-m", "dpiqa", "monitor", str(settings)):
            wait_for(lambda: bool(listener.latest(device("door"))), "the device", 30)
            if "yard" in names:
                wait_for(lambda: bool(listener.latest(device("yard"))), "the other device", 30)
            else:
                wait_for(lambda: listener.latest(device("yard")) == "", "the device that is gone", 30)


def test_only_what_an_earlier_version_announced_is_taken_back(listener: Listener) -> None:
    outdated = list(outdated_topics("homeassistant", "old"))
    for topic in outdated:
        listener.publish(topic, "{}", retain=True)
    wait_for(lambda: all(listener.latest(topic) == "{}" for topic in outdated), "the earlier version")
    sinks = opened(listener, "old", "new")
    wait_for(lambda: all(listener.latest(topic) == "" for topic in outdated), "what is outdated")
    wait_for(lambda: sum(topic == device("old") for topic, *_ in listener.heard) == 2, "the device, once more")
    sinks.close()
    assert {topic for topic, payload, _ in listener.heard if payload == ""} == set(outdated)


def test_without_a_broker_it_is_one_line(dpiqa: Callable[..., Ended]) -> None:
    ended = dpiqa("monitor", "rtsp://192.0.2.1/a", "--home-assistant", "--check")
    assert ended.status == 2
    assert "--home-assistant: needs the broker that Home Assistant uses, add --mqtt URL" in ended.err


def test_a_discovery_topic_with_a_wildcard_is_refused(dpiqa: Callable[..., Ended], tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("sinks: { mqtt: { url: 'mqtt://192.0.2.1', discovery_topic: 'home/#' } }\n")
    ended = dpiqa("monitor", path, "rtsp://192.0.2.1/a", "--check")
    assert ended.status == 2
    assert "discovery_topic" in ended.err

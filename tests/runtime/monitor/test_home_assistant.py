"""The message that announces a camera to Home Assistant, against what Home Assistant's schemas demand of it.

Written down from `schemas.py`, `sensor.py`, `binary_sensor.py` and `image.py` of its MQTT integration; it was not run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import Environment
from made import Ended
from messages import event, reading, status, wait_for
from real_servers import answers, free_port, running, sinks_of, tool
from test_mqtt import Listener

from dpiqa.runtime.monitor.messages import Snapshot, to_json
from dpiqa.runtime.monitor.sinks.home_assistant import discovery

COMMON = {"platform", "unique_id", "name", "icon", "entity_category", "device_class", "json_attributes_topic"}
KEYS = {  # required, and allowed beside those of every entity
    "sensor": ({"state_topic"}, {"value_template", "state_class"}),
    "binary_sensor": ({"state_topic"}, {"value_template", "payload_on", "payload_off"}),
    "image": ({"image_topic"}, {"content_type", "image_encoding"}),
}
CLASSES = {"connectivity", "problem"}  # of those that a binary sensor may have


def components() -> dict[str, dict[str, str]]:
    return discovery("homeassistant", "dpiqa", "dpiqa/availability/x", "cam", "the door")[1]["components"]


def test_a_device_is_what_home_assistant_expects() -> None:
    topic, document = discovery("homeassistant", "dpiqa", "dpiqa/availability/x", "cam", "the door")
    assert topic == "homeassistant/device/dpiqa_cam/config"
    assert document.keys() == {"device", "origin", "components", "availability_topic"}
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


def test_a_picture_is_published_now_and_then(tmp_path: Path) -> None:
    port, config = free_port(), tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with running(tool("mosquitto"), "-c", str(config)):
        wait_for(lambda: answers(port), "the broker")
        listener = Listener(port)
        with sinks_of(mqtt={"url": f"mqtt://127.0.0.1:{port}", "home_assistant": True}) as (sink,):
            sink.put(status())
            wait_for(lambda: listener.latest("homeassistant/device/dpiqa_cam/config") is not None, "the device")
            for _ in range(3):
                sink.put(Snapshot("cam", time.time(), 80, b"\xff\xd8jpeg"))
            sink.put(event())
            wait_for(lambda: "raised" in (listener.latest("dpiqa/cam/event/Frozen") or ""), "all was written")
        pictures = [payload for topic, payload, _ in listener.heard if topic == "dpiqa/cam/picture"]
        listener.close()
    assert len(pictures) == 1
    assert pictures[0].endswith("jpeg")


def test_without_a_broker_it_is_one_line(dpiqa: Callable[..., Ended]) -> None:
    ended = dpiqa("monitor", "rtsp://192.0.2.1/a", "--home-assistant", "--check")
    assert ended.status == 2
    assert "--home-assistant: needs the broker that Home Assistant uses, add --mqtt URL" in ended.err

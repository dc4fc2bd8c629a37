"""Home Assistant's MQTT discovery: each source is a device, announced by one message.

A device has the score and the main cause as sensors, the connection and each kind of event as binary sensors, and the
latest picture. Score and cause are unavailable while the source is not up; the score of a void frame is unknown. Home
Assistant needs version 2024.11 or later for that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.evidence import words
from dpiqa.runtime.reading import MIN_CAUSE

_MAIN_CAUSE = (
    "{% set strongest = value_json.causes | dictsort(by='value') | last | default(none) %}"
    f"{{{{ strongest[0] | replace('_', ' ') if strongest and strongest[1] >= {MIN_CAUSE} else 'none' }}}}"
)


def device_topic(prefix: str, level: str) -> str:
    """The topic that announces a source."""
    return f"{prefix}/device/dpiqa_{level}/config"


def discovery(topic: str, availability: str, level: str, source: str) -> dict[str, Any]:
    """The document that announces a source; its messages are below `topic`/`level`.

    `availability` is the topic of the monitor's own state.
    """
    device_id, base = f"dpiqa_{level}", f"{topic}/{level}"
    is_up = "{{ 'online' if value_json.state == 'up' else 'offline' }}"
    online: list[dict[str, str]] = [{"topic": availability}]
    while_up = {
        "availability": [*online, {"topic": f"{base}/status", "value_template": is_up}],
        "availability_mode": "all",
    }
    entities: dict[str, dict[str, Any]] = {
        "score": {
            "platform": "sensor",
            "name": "Quality",
            "state_topic": f"{base}/reading",
            "value_template": "{{ none if value_json.void else value_json.score | round(1) }}",
            "state_class": "measurement",
            "icon": "mdi:image-check",
            **while_up,
        },
        "cause": {
            "platform": "sensor",
            "name": "Main cause",
            "state_topic": f"{base}/reading",
            "value_template": _MAIN_CAUSE,
            "icon": "mdi:image-search",
            **while_up,
        },
        "connection": {
            "platform": "binary_sensor",
            "name": "Connection",
            "state_topic": f"{base}/status",
            "value_template": "{{ 'ON' if value_json.state == 'up' else 'OFF' }}",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
        "picture": {
            "platform": "image",
            "name": "Picture",
            "image_topic": f"{base}/picture",
            "content_type": "image/jpeg",
        },
    }
    for kind in KINDS:
        entities[kind] = {
            "platform": "binary_sensor",
            "name": words(kind).capitalize(),
            "state_topic": f"{base}/event/{kind}",
            "value_template": "{{ value_json.state }}",
            "payload_on": "raised",
            "payload_off": "cleared",
            "device_class": "problem",
            "json_attributes_topic": f"{base}/event/{kind}",
        }
    return {
        "device": {"identifiers": [device_id], "name": source, "manufacturer": "dpiqa-edge"},
        "origin": {"name": "dpiqa-edge"},
        "availability": online,
        "components": {name: {"unique_id": f"{device_id}_{name}", **entity} for name, entity in entities.items()},
    }


def announced_by(document: bytes) -> str | None:
    """The availability topic of the monitor that announced a source, None for what is no announcement."""
    try:
        return json.loads(document)["availability"][0]["topic"]
    except (ValueError, LookupError, TypeError):
        return None


def announced_level(prefix: str, topic: str) -> str | None:
    """Of which source a topic announces the device or, in an earlier version, an entity; None for other topics."""
    match = re.fullmatch(rf"{re.escape(prefix)}/(?:device/dpiqa_([^/]+)|[^/]+/dpiqa_([^/]+)/[^/]+)/config", topic)
    return match and (match[1] or match[2])


def announcements(prefix: str, levels: Iterable[str]) -> Iterator[str]:
    """What to subscribe to for the announcements of all devices, and those of an earlier version of these sources."""
    yield f"{prefix}/device/+/config"
    yield from (f"{prefix}/+/dpiqa_{level}/+/config" for level in levels)


def outdated_topics(prefix: str, level: str) -> Iterator[str]:
    """The topics of an earlier version, which announced entities one by one."""
    yield f"{prefix}/sensor/dpiqa_{level}/score/config"
    for kind in KINDS:
        yield f"{prefix}/binary_sensor/dpiqa_{level}/{kind}/config"

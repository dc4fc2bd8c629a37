"""Home Assistant's MQTT discovery: each source is a device, announced by one message.

A device has the score and the main cause as sensors, the connection and each kind of event as binary sensors, and the
latest picture. Home Assistant needs version 2024.11 or later for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.evidence import words
from dpiqa.runtime.reading import MIN_CAUSE

_MAIN_CAUSE = (
    "{% set strongest = value_json.causes | dictsort(by='value') | last | default(none) %}"
    f"{{{{ strongest[0] | replace('_', ' ') if strongest and strongest[1] >= {MIN_CAUSE} else 'none' }}}}"
)


def discovery(prefix: str, topic: str, availability: str, level: str, source: str) -> tuple[str, dict[str, Any]]:
    """The topic and the document that announce a source; its messages are below `topic`/`level`.

    `availability` is the topic of the monitor's own state.
    """
    device_id, base = f"dpiqa_{level}", f"{topic}/{level}"
    entities: dict[str, dict[str, Any]] = {
        "score": {
            "platform": "sensor",
            "name": "Quality",
            "state_topic": f"{base}/reading",
            "value_template": "{{ value_json.score | round(1) }}",
            "state_class": "measurement",
            "icon": "mdi:image-check",
        },
        "cause": {
            "platform": "sensor",
            "name": "Main cause",
            "state_topic": f"{base}/reading",
            "value_template": _MAIN_CAUSE,
            "icon": "mdi:image-search",
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
    document = {
        "device": {"identifiers": [device_id], "name": source, "manufacturer": "dpiqa-edge"},
        "origin": {"name": "dpiqa-edge"},
        "availability_topic": availability,
        "components": {name: {"unique_id": f"{device_id}_{name}", **entity} for name, entity in entities.items()},
    }
    return f"{prefix}/device/{device_id}/config", document


def outdated_topics(prefix: str, level: str) -> Iterator[str]:
    """The topics of an earlier version, which announced entities one by one."""
    yield f"{prefix}/sensor/dpiqa_{level}/score/config"
    for kind in KINDS:
        yield f"{prefix}/binary_sensor/dpiqa_{level}/{kind}/config"

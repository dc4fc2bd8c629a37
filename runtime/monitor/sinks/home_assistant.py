"""Home Assistant's MQTT discovery: each source is a device with a score and problem sensors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS


def discoveries(
    prefix: str, topic: str, availability: str, level: str, source: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The topics and documents that announce a source; its messages are below `topic`/`level`.

    `availability` is the topic of the monitor's own state.
    """
    device_id = f"dpiqa_{level}"
    common = {
        "availability_topic": availability,
        "device": {"identifiers": [device_id], "name": source, "manufacturer": "dpiqa-edge"},
    }
    score = {
        "name": "Quality",
        "unique_id": f"{device_id}_score",
        "state_topic": f"{topic}/{level}/reading",
        "value_template": "{{ value_json.score }}",
        "state_class": "measurement",
        "icon": "mdi:image-check",
    }
    yield f"{prefix}/sensor/{device_id}/score/config", score | common
    for kind in KINDS:
        problem = {
            "name": re.sub(r"(?<!^)(?=[A-Z])", " ", kind).capitalize(),
            "unique_id": f"{device_id}_{kind}",
            "state_topic": f"{topic}/{level}/event/{kind}",
            "value_template": "{{ value_json.state }}",
            "payload_on": "raised",
            "payload_off": "cleared",
            "device_class": "problem",
        }
        yield f"{prefix}/binary_sensor/{device_id}/{kind}/config", problem | common

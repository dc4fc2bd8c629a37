"""Write docs/monitor_reference.md: alarms and their defaults, metrics, topics and fields, from the code itself.

usage: make_monitor_reference.py [FILE]
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from dpiqa.runtime.monitor.alarms.source_alarms import KINDS
from dpiqa.runtime.monitor.messages import Event, LiveReading, Signals, Status
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings, BaselineSettings
from dpiqa.runtime.monitor.sinks import mqtt, prometheus
from dpiqa.runtime.monitor.sinks.home_assistant import device_topic, discovery

_BELOW = ("dpiqa", "dpiqa/availability/CLIENT")


def main() -> None:
    """Write the file."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("monitor_reference.md")
    file.write_text(reference())


def reference() -> str:
    """The whole document."""
    parts = [
        "# The monitor: alarms, metrics, topics, fields",
        "By `docs/make_monitor_reference.py`. `dpiqa monitor --schema` prints the schema of the settings file.",
        "## Alarms",
        _prose(AlarmSettings),
        *_alarms(),
        "## Metrics",
        *_metrics(),
        "## MQTT",
        _prose(mqtt),
        *_entities(),
        "## JSON",
        "The same object in every sink that writes JSON; times are Unix seconds.",
        *_messages(),
    ]
    return "\n\n".join(parts) + "\n"


def _prose(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").strip()


def _alarms() -> Iterator[str]:
    settings = AlarmSettings()
    sections: dict[str, BaseModel] = {
        name: value for name in AlarmSettings.model_fields if isinstance(value := getattr(settings, name), BaseModel)
    }
    assert {type(section).__name__ for section in sections.values()} - {BaselineSettings.__name__} == set(KINDS)
    for name, section in sections.items():
        kind = "" if isinstance(section, BaselineSettings) else f", event `{type(section).__name__}`"
        yield f"### `{name}`{kind}"
        yield _prose(type(section))
        yield "\n".join(f"- `{field}: {_yaml(value)}`" for field, value in section)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _metrics() -> Iterator[str]:
    registry: CollectorRegistry = prometheus.registry_of(dict)
    rows = [(metric.name, metric.type, metric.documentation) for metric in registry.collect()]
    lines = ["| metric | type | meaning |", "|---|---|---|"]
    lines += [
        f"| `{name}{'_total' if kind == 'counter' else ''}` | {kind} | {text} |" for name, kind, text in sorted(rows)
    ]
    yield "\n".join(lines)


def _entities() -> Iterator[str]:
    topic, document = device_topic("homeassistant", "CAM"), discovery("dpiqa", "dpiqa/availability/ID", "CAM", "CAM")
    yield f"Home Assistant's discovery, with `home_assistant: true`, is `{topic}`, with the entities:"
    yield "\n".join(
        f"- {entity['name']}: `{entity['platform']}` of `{entity.get('state_topic') or entity.get('image_topic')}`"
        for entity in document["components"].values()
    )


def _messages() -> Iterator[str]:
    for message in (LiveReading, Signals, Event, Status):
        yield f"### {re.sub('Live', '', message.__name__)}"
        yield _prose(message)
        names = [field.name for field in fields(message) if field.name != "thumbnail"]
        yield ", ".join(f"`{name}`" for name in ([] if message is Signals else ["type"]) + names)


if __name__ == "__main__":
    main()

"""Opens the sinks of the settings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dpiqa.errors import DpiqaError
from dpiqa.runtime.monitor.messages import Counts
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.queued import QueuedSink


def open_sinks(settings: SinkSettings) -> list[QueuedSink]:
    """Open every sink in the settings, each with its own queue and thread.

    Raises InputError for a file or address that cannot be used, DpiqaError for a missing library; sinks already open
    are then closed.
    """
    sinks: list[QueuedSink] = []

    def counts() -> dict[str, Counts]:
        return {sink.name: sink.counts for sink in sinks}

    writers: list[tuple[str, str, Any, tuple[Any, ...]]] = [
        ("sinks.prometheus", "Prometheus", settings.prometheus, (counts,)),
        ("history.writer", "History", settings.sqlite, ()),
        ("sinks.files", "JsonLines", settings.jsonl, ()),
        ("sinks.files", "Csv", settings.csv, ()),
        ("sinks.mqtt", "Mqtt", settings.mqtt, ()),
        *(("sinks.webhook", "Webhook", webhook, (number,)) for number, webhook in enumerate(settings.webhooks, 1)),
        # Opened last because it reads the history; closed last because it has nothing to write.
        ("dashboard.sink", "Dashboard", settings.dashboard, (settings.sqlite and settings.sqlite.path, counts)),
    ]
    try:
        for module, name, section, arguments in writers:
            if section is not None:
                sinks.append(QueuedSink(_writer(module, name)(section, *arguments), section.queue))
    except BaseException:
        for sink in sinks:
            sink.close(0)
        raise
    return sinks


def _writer(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"dpiqa.runtime.monitor.{module}"), name)
    except ImportError as error:
        advice = "install what is missing with: pip install '.[monitor]'"
        raise DpiqaError(f"{module.rpartition('.')[2]}: {error}; {advice}") from None

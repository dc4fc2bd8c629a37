"""Which sinks there are, and how they are opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dpiqa.errors import DpiqaError
from dpiqa.runtime.monitor.messages import Counts
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.queued import QueuedSink


def open_sinks(settings: SinkSettings) -> list[QueuedSink]:
    """Open every sink that is asked for, each with its queue and its thread.

    Raises InputError for a file or an address that cannot be used, DpiqaError for a library that is not installed;
    those that were open are closed then.
    """
    sinks: list[QueuedSink] = []

    def counts() -> dict[str, Counts]:
        return {sink.name: sink.counts for sink in sinks}

    wanted: list[tuple[str, str, Any, tuple[Any, ...]]] = [
        ("sinks.prometheus", "Prometheus", settings.prometheus, (counts,)),
        ("history.writer", "History", settings.sqlite, ()),
        ("sinks.files", "JsonLines", settings.jsonl, ()),
        ("sinks.files", "Csv", settings.csv, ()),
        ("sinks.mqtt", "Mqtt", settings.mqtt, ()),
        *(("sinks.webhook", "Webhook", webhook, (number,)) for number, webhook in enumerate(settings.webhooks, 1)),
        # Last to be opened, since it reads the history, and last to be closed: it has nothing to write out.
        ("dashboard.sink", "Dashboard", settings.dashboard, (settings.sqlite and settings.sqlite.path, counts)),
    ]
    try:
        for module, name, section, more in wanted:
            if section is not None:
                sinks.append(QueuedSink(_writer(module, name)(section, *more), section.queue))
    except BaseException:
        for sink in sinks:
            sink.close(0)
        raise
    return sinks


def _writer(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"dpiqa.runtime.monitor.{module}"), name)
    except ImportError as error:
        raise DpiqaError(
            f"{module.rpartition('.')[2]}: {error}; pip install '.[monitor]' brings what is missing"
        ) from None

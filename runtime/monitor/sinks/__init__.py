"""Where a monitor's messages go."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from runtime.errors import DpiqaError

from .queued import Counts, QueuedSink
from .settings import SinkSettings

__all__ = ["Counts", "QueuedSink", "SinkSettings", "open_sinks"]


def open_sinks(settings: SinkSettings) -> list[QueuedSink]:
    """Open every sink that is asked for, each with its queue and its thread.

    Raises InputError for a file or an address that cannot be used, DpiqaError for a library that is not installed;
    those that were open are closed then.
    """
    sinks: list[QueuedSink] = []

    def counts() -> dict[str, Counts]:
        return {sink.name: sink.counts for sink in sinks}

    wanted: list[tuple[str, str, Any, tuple[Any, ...]]] = [
        ("prometheus", "Prometheus", settings.prometheus, (counts,)),
        ("history", "History", settings.sqlite, ()),
        ("files", "JsonLines", settings.jsonl, ()),
        ("files", "Csv", settings.csv, ()),
        ("mqtt", "Mqtt", settings.mqtt, ()),
        *(("webhook", "Webhook", webhook, (number,)) for number, webhook in enumerate(settings.webhooks, 1)),
        # Last to be opened, since it reads the history, and last to be closed: it has nothing to write out.
        ("dashboard", "Dashboard", settings.dashboard, (settings.sqlite and settings.sqlite.path, counts)),
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
        return getattr(import_module(f".{module}", __name__), name)
    except ImportError as error:
        raise DpiqaError(f"{module}: {error}; pip install 'dpiqa-edge[monitor]' brings what is missing") from None

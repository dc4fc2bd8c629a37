"""Opens the sinks of the settings, and replaces those whose settings change."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from time import monotonic
from typing import Any

from dpiqa.errors import DpiqaError
from dpiqa.runtime.monitor.messages import Act, Counts
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.queued import QueuedSink

log = logging.getLogger(__name__)

CLOSING_S = 1.0
_Section = tuple[Any, ...]  # a sink's settings, and what else it is opened with


class SinkSet:
    """The open sinks, each with its own queue and thread; `act` is what those call that take commands.

    `sources` are the names of all sources, for those that keep something of each; empty if they are not known.
    Raises InputError for a file or address that cannot be used, DpiqaError for a missing library; sinks already open
    are then closed.
    """

    def __init__(self, settings: SinkSettings, act: Act = lambda action: None, sources: Sequence[str] = ()) -> None:
        self._act, self._sources = act, sources
        self._open: dict[str, tuple[_Section, QueuedSink]] = {}
        self._missing: dict[str, _Section] = {}
        try:
            for key, section in self._sections(settings):
                self._open_one(key, section)
        except BaseException:
            self.close(0)
            raise

    @property
    def sinks(self) -> list[QueuedSink]:
        """Those that are open."""
        return [sink for _, sink in self._open.values()]

    @property
    def is_complete(self) -> bool:
        """Whether none waits for `retry`."""
        return not self._missing

    def replace(self, settings: SinkSettings, sources: Sequence[str] = ()) -> None:
        """Close and open those whose settings changed; the others are not touched.

        Raises DpiqaError if one cannot be opened: all are then as before, or wait for `retry`.
        """
        self._sources = sources
        wanted = dict(self._sections(settings))
        before = {key: section for key, (section, _) in self._open.items()} | self._missing
        changed = [key for key in {**before, **wanted} if before.get(key) != wanted.get(key)]
        self._close_some(changed)  # first, because the new ones may need the same files and ports
        try:
            for key in [key for key in wanted if key in changed]:
                self._open_one(key, wanted[key])
        except BaseException:
            self._close_some(changed)
            self._missing |= {key: before[key] for key in before if key in changed}
            self.retry()
            raise

    def retry(self) -> None:
        """Open those that could not be restored, one by one."""
        for key, section in list(self._missing.items()):
            try:
                self._open_one(key, section)
            except DpiqaError as error:
                log.warning("%s: not restored yet: %s", key, error)
            else:
                del self._missing[key]
                log.info("%s: restored", key)

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Close all of them, for at most `timeout_s` seconds."""
        deadline_s = monotonic() + timeout_s
        for _, sink in self._open.values():
            sink.close(max(0.0, deadline_s - monotonic()))
        self._open.clear()

    def counts(self) -> dict[str, Counts]:
        """The message counts by sink."""
        return {sink.name: sink.counts for sink in self.sinks}

    def _close_some(self, keys: list[str]) -> None:
        deadline_s = monotonic() + CLOSING_S
        for key in keys:
            self._missing.pop(key, None)
            if key in self._open:
                self._open.pop(key)[1].close(max(0.0, deadline_s - monotonic()))

    def _open_one(self, key: str, section: _Section) -> None:
        module, name, *_ = _WRITERS[key.partition("-")[0]]
        settings, *arguments = section
        if name in ("Prometheus", "Dashboard"):
            arguments.append(self.counts)
        if name in ("Mqtt", "Dashboard"):
            arguments.append(self._act)
        if name == "Mqtt":
            arguments.append(self._sources)
        self._open[key] = section, QueuedSink(_writer(module, name)(settings, *arguments), settings.queue)

    @staticmethod
    def _sections(settings: SinkSettings) -> Iterator[tuple[str, _Section]]:
        for key in ("prometheus", "sqlite", "jsonl", "csv", "mqtt"):
            if (section := getattr(settings, key)) is not None:
                yield key, (section,)
        for number, webhook in enumerate(settings.webhooks, 1):
            yield f"webhook-{number}", (webhook, number)
        # Opened last because it reads the history; closed last because it has nothing to write.
        if settings.dashboard is not None and settings.sqlite is not None:
            yield "dashboard", (settings.dashboard, settings.sqlite.path)


_WRITERS = {
    "prometheus": ("sinks.prometheus", "Prometheus"),
    "sqlite": ("history.writer", "History"),
    "jsonl": ("sinks.files", "JsonLines"),
    "csv": ("sinks.files", "Csv"),
    "mqtt": ("sinks.mqtt", "Mqtt"),
    "webhook": ("sinks.webhook", "Webhook"),
    "dashboard": ("dashboard.sink", "Dashboard"),
}


def _writer(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"dpiqa.runtime.monitor.{module}"), name)
    except ImportError as error:
        advice = "install what is missing with: pip install '.[monitor]'"
        raise DpiqaError(f"{module.rpartition('.')[2]}: {error}; {advice}") from None

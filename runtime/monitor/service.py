"""Implements `dpiqa monitor`: reads the settings, monitors, handles signals."""

from __future__ import annotations

import atexit
import gc
import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.allocator import return_large_buffers
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.machine import int8_is_faster
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.monitor.alarms.kept import MemoryFile
from dpiqa.runtime.monitor.messages import Action
from dpiqa.runtime.monitor.settings.cameras import CameraSettings, MonitorSettings
from dpiqa.runtime.monitor.settings.file import load_settings
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet
from dpiqa.runtime.monitor.sources import check_source
from dpiqa.runtime.monitor.supervisor import Supervisor
from dpiqa.runtime.monitor.watch import Monitor
from dpiqa.runtime.reading import printable

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_SETTINGS_SUFFIXES = (".yaml", ".yml")


class CommandLine:
    """The command line: sources, a settings file, and flags that override the file.

    A source that ends in `.yaml` or `.yml` is the settings file. `flags` are fields of the settings (None: not given),
    `sinks` are fields of their section `sinks`, where `none` stands for no such sink and `-` for standard output;
    `home_assistant` announces the sources to it over the broker.
    """

    def __init__(
        self,
        sources: Sequence[str],
        file: Path | None,
        flags: Mapping[str, Any],
        sinks: Mapping[str, str | None],
        webhook: str | None = None,
        home_assistant: bool = False,
    ) -> None:
        files = [Path(source) for source in sources if source.lower().endswith(_SETTINGS_SUFFIXES)]
        files += [file] if file else []
        if len(files) > 1:
            raise InputError(f"{files[1]}: only one settings file is allowed, {files[0]} is already given")
        self.file = files[0] if files else None
        self._sources = [source for source in sources if not source.lower().endswith(_SETTINGS_SUFFIXES)]
        for source in self._sources:
            if printable(source) != source:
                raise InputError(f"{source}: a name that is not UTF-8 cannot be monitored, rename it")
        self._flags = {name: value for name, value in flags.items() if value is not None}
        special = {"none": None, "-": "/dev/stdout"}
        self._sinks = {name: special.get(text, text) for name, text in sinks.items() if text is not None}
        self._home_assistant = home_assistant
        self._webhooks = (webhook,) if webhook else ()

    def settings(self) -> MonitorSettings:
        """The settings, checked as far as possible without opening anything. Raises InputError."""
        settings = load_settings(self.file) if self.file else MonitorSettings()
        try:
            webhooks = (*settings.sinks.webhooks, *self._webhooks)
            sinks = SinkSettings.model_validate({**dict(settings.sinks), "webhooks": webhooks, **self._sinks})
            if self._home_assistant:
                if sinks.mqtt is None:
                    raise InputError("--home-assistant: needs the broker that Home Assistant uses, add --mqtt URL")
                sinks = sinks.model_copy(update={"mqtt": sinks.mqtt.model_copy(update={"home_assistant": True})})
            added = [CameraSettings(source=source) for source in self._sources]
            fields = {**dict(settings), **self._flags, "sinks": sinks, "cameras": [*settings.cameras, *added]}
            settings = MonitorSettings.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            flag = f"--{first['loc'][0]}: ".replace("webhooks", "webhook") if first["loc"] else ""
            raise InputError(f"{flag}{first['msg'].removeprefix('Value error, ')}") from None
        if not settings.cameras:
            where = f"{self.file}: " if self.file else ""
            raise InputError(
                f"{where}no source to monitor, name one (a file, a folder, a URL) or list cameras in a settings file"
            )
        for camera in settings.cameras:
            check_source(camera)
        return settings

    def check(self) -> str:
        """Check the settings and open the model; returns a one-line summary. Raises DpiqaError."""
        settings = self.settings()
        _open_engine(settings)
        return f"{_plural(len(settings.cameras), 'source', 'sources')} to monitor, no problems found"


class MonitorService:
    """A monitor with its engine and sinks; handles signals from the moment it is made.

    Until it runs, SIGTERM and Ctrl-C end the process with status 0, and a SIGHUP waits. Raises DpiqaError if the model
    or a sink cannot be opened.
    """

    def __init__(self, command_line: CommandLine) -> None:
        return_large_buffers()
        self._command_line = command_line
        self._monitor: Monitor | None = None
        self._must_reload = False
        self._previous_handlers = self._handle_signals()
        try:
            self._settings = command_line.settings()
            engine = _open_engine(self._settings)
            self._sinks = SinkSet(self._settings.sinks, self._act, _names(self._settings))
            self._monitor = Monitor(self._settings, engine, self._sinks.sinks, memory=_memory(self._settings, engine))
        except BaseException:
            self._restore_signals()
            raise

    @property
    def monitor(self) -> Monitor:
        """The monitor itself."""
        assert self._monitor is not None
        return self._monitor

    def run(self) -> int:
        """Monitor until SIGTERM, Ctrl-C, or the end of all sources.

        SIGHUP reloads the settings file. Returns the number of sources that ended without a single frame.
        """
        atexit.register(gc.freeze)  # the interpreter's final garbage collection takes up to a second
        if self._must_reload:
            self.monitor.call_soon(self._reload)
        supervisor = Supervisor()
        self.monitor.on_round = supervisor.beat
        supervisor.ready()
        try:
            self.monitor.run()
        finally:
            supervisor.stopping()
            self._sinks.close()
            self._restore_signals()
        return sum(camera.settings.is_finite and not camera.delivered for camera in self.monitor.cameras)

    def _reload(self) -> None:
        try:
            settings, previous = self._command_line.settings(), self._settings
            is_same = _engine_settings(settings) == _engine_settings(previous)
            engine = self.monitor.engine if is_same else _open_engine(settings)
            try:
                self._sinks.replace(settings.sinks, _names(settings))
            finally:
                self.monitor.sinks = self._sinks.sinks
                self._retry_sinks_later()
        except DpiqaError as error:
            log.error("not reloaded: %s", error)
            return
        if not is_same:
            self.monitor.engine = engine
            self.monitor.relearn()
        self.monitor.apply(settings)
        self._settings = settings
        log.info("reloaded, monitoring %s", _plural(len(settings.cameras), "source", "sources"))

    def _act(self, action: Action) -> None:
        self.monitor.call_soon(lambda: self.monitor.act(action))

    def _retry_sinks_later(self) -> None:
        if not self._sinks.is_complete:
            timer = threading.Timer(_RETRY_S, lambda: self.monitor.call_soon(self._retry_sinks))
            timer.daemon = True
            timer.start()

    def _retry_sinks(self) -> None:
        self._sinks.retry()
        self.monitor.sinks = self._sinks.sinks
        self._retry_sinks_later()

    def _handle_signals(self) -> dict[signal.Signals, Any]:
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._reload_soon
        return {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def _restore_signals(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        if self._monitor is None:
            raise SystemExit(0)
        self._monitor.stop()

    def _reload_soon(self, *_: object) -> None:
        if self._monitor is None:
            self._must_reload = True
        else:
            self._monitor.call_soon(self._reload)


def _plural(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"


def _names(settings: MonitorSettings) -> list[str]:
    return [camera.label for camera in settings.cameras]


def _engine_settings(settings: MonitorSettings) -> tuple[Path | None, str, int, int]:
    return settings.model, settings.engine, settings.threads, settings.max_wait_ms


def _open_engine(settings: MonitorSettings) -> Engine:
    options = settings.engine, settings.threads, settings.threads
    if settings.model:
        return open_engine(settings.model, *options, settings.max_wait_ms)
    if settings.engine in ("auto", "openvino") and not why_absent() and int8_is_faster():
        return open_engine(shipped_model(INT8_MODEL), *options)
    engine = open_engine(shipped_model(), *options)
    log.info("scoring with %s: INT8 is no faster with %s on this processor", DEFAULT_MODEL, engine.name)
    return engine


def _memory(settings: MonitorSettings, engine: Engine) -> MemoryFile | None:
    path, spec = settings.memory_file, engine.spec
    return None if path is None else MemoryFile(path, f"{spec.name} {spec.version}")

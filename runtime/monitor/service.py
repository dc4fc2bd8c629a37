"""What `dpiqa monitor` does: read what to watch, watch it, obey signals."""

from __future__ import annotations

import atexit
import gc
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from pydantic import ValidationError

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import INT8_MODEL, shipped_model
from dpiqa.runtime.monitor.messages import Sink
from dpiqa.runtime.monitor.settings.cameras import CameraConfig, MonitorConfig
from dpiqa.runtime.monitor.settings.file import load_config
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.registry import open_sinks
from dpiqa.runtime.monitor.sources import check_source
from dpiqa.runtime.monitor.watch import Monitor

log = logging.getLogger(__name__)

_CLOSING_S = 1.0
_CONFIG_SUFFIXES = (".yaml", ".yml")


class Orders:
    """What was typed: sources, a configuration file, and flags that go before what the file says.

    A source that ends in `.yaml` or `.yml` is the configuration file. `flags` are fields of the configuration (None:
    not given), `sinks` are fields of its section `sinks`, of which `none` stands for no such sink and `-` for standard
    output.
    """

    def __init__(
        self,
        sources: Sequence[str],
        file: Path | None,
        flags: Mapping[str, Any],
        sinks: Mapping[str, str | None],
        webhook: str | None = None,
    ) -> None:
        files = [Path(source) for source in sources if source.lower().endswith(_CONFIG_SUFFIXES)]
        files += [file] if file else []
        if len(files) > 1:
            raise InputError(f"{files[1]}: one configuration file is enough, {files[0]} is one")
        self.file = files[0] if files else None
        self._sources = [source for source in sources if not source.lower().endswith(_CONFIG_SUFFIXES)]
        self._flags = {name: value for name, value in flags.items() if value is not None}
        meant = {"none": None, "-": "/dev/stdout"}
        self._sinks = {name: meant.get(text, text) for name, text in sinks.items() if text is not None}
        self._webhooks = (webhook,) if webhook else ()

    def read(self) -> MonitorConfig:
        """The configuration, checked as far as that is possible without opening anything. Raises InputError."""
        config = load_config(self.file) if self.file else MonitorConfig()
        try:
            webhooks = (*config.sinks.webhooks, *self._webhooks)
            sinks = SinkSettings.model_validate({**dict(config.sinks), "webhooks": webhooks, **self._sinks})
            added = [CameraConfig(source=source) for source in self._sources]
            fields = {**dict(config), **self._flags, "sinks": sinks, "cameras": [*config.cameras, *added]}
            config = MonitorConfig.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            flag = f"--{first['loc'][0]}: ".replace("webhooks", "webhook") if first["loc"] else ""
            raise InputError(f"{flag}{first['msg'].removeprefix('Value error, ')}") from None
        if not config.cameras:
            where = f"{self.file}: " if self.file else ""
            raise InputError(
                f"{where}no source to watch, name one (a file, a folder, an address) or write cameras: ..."
            )
        for camera in config.cameras:
            check_source(camera)
        return config

    def check(self) -> str:
        """Read the configuration and open the model; says what there is to watch. Raises DpiqaError."""
        config = self.read()
        _engine(config)
        return f"{_counted(len(config.cameras), 'source', 'sources')} to watch, nothing wrong found"


class Service:
    """A monitor with its engine and its sinks. Raises DpiqaError if the model or a sink cannot be opened."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._config = orders.read()
        engine = _engine(self._config)
        self._sinks: Sequence[Sink] = open_sinks(self._config.sinks)
        self.monitor = Monitor(self._config, engine, self._sinks)

    def run(self) -> int:
        """Watch until SIGTERM, Ctrl-C, or the end of all sources.

        SIGHUP reads the configuration file again. Returns how many sources have ended without a single frame.
        """
        atexit.register(gc.freeze)  # the interpreter's last look at all that is in memory takes up to a second
        try:
            with _obeyed(self.monitor, self._reload):
                self.monitor.run()
        finally:
            _close(self._sinks)
        return sum(camera.config.is_finite and not camera.delivered for camera in self.monitor.cameras)

    def _reload(self) -> None:
        try:
            config, before = self._orders.read(), self._config
            engine = self.monitor.engine if _model(config) == _model(before) else _engine(config)
            if config.sinks != before.sinks or not self._sinks:
                self._replace_sinks(before.sinks, config.sinks)
        except DpiqaError as error:
            log.error("not reloaded: %s", error)
            return
        self.monitor.engine = engine
        self.monitor.apply(config)
        self._config = config
        log.info("reloaded, %s watched", _counted(len(config.cameras), "source is", "sources are"))

    def _replace_sinks(self, before: SinkSettings, wanted: SinkSettings) -> None:
        _close(self._sinks)  # first, since the new ones may want the same files and ports
        self.monitor.sinks = self._sinks = []
        try:
            self.monitor.sinks = self._sinks = open_sinks(wanted)
        except DpiqaError:
            self.monitor.sinks = self._sinks = open_sinks(before)
            raise


def _counted(count: int, one: str, more: str) -> str:
    """The number with the words for one or for more."""
    return f"{count} {one if count == 1 else more}"


def _model(config: MonitorConfig) -> tuple[Path | None, str, int | None]:
    return config.model, config.engine, config.threads


def _engine(config: MonitorConfig) -> Engine:
    if config.model:
        return open_engine(config.model, config.engine, config.threads)
    engine = open_engine(shipped_model(INT8_MODEL), config.engine, config.threads)
    # ONNX Runtime takes longer for INT8 than for FP32.
    return open_engine(shipped_model(), config.engine, config.threads) if engine.name == "onnxruntime" else engine


def _close(sinks: Sequence[Sink]) -> None:
    until_s = monotonic() + _CLOSING_S
    for sink in sinks:
        sink.close(max(0.0, until_s - monotonic()))


@contextmanager
def _obeyed(monitor: Monitor, reload: Any) -> Iterator[None]:
    """Stop at SIGTERM and Ctrl-C, reload at SIGHUP."""
    handlers = {signal.SIGTERM: lambda *_: monitor.stop(), signal.SIGINT: lambda *_: monitor.stop()}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = lambda *_: monitor.soon(reload)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

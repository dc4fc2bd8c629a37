"""Settings of the sinks: one section per sink, each with a one-string short form."""

from __future__ import annotations

import os
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from dpiqa.errors import system_reason
from dpiqa.runtime.monitor.settings.base import Settings

MessageType = Literal["reading", "event", "status", "action"]
Positive = Annotated[float, Field(gt=0)]
Topic = Annotated[str, Field(pattern=r"^[^+#\x00/][^+#\x00]*[^+#\x00/]$|^[^+#\x00/]$")]
_MIN_TOKEN = 16


class _Sink(Settings):
    """A sink's section: a plain string sets its main field. `queue` is the number of messages that may wait."""

    queue: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    _short: ClassVar[str] = "path"

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return {cls._short: value} if isinstance(value, (str, Path)) else value


class RollingSettings(_Sink):
    """A file that grows to `max_mb` and is then renamed to `NAME.1` and so on; `keep` of these are kept."""

    path: Path
    max_mb: Positive = 100
    keep: Annotated[int, Field(ge=0, le=1000)] = 5


class HistorySettings(_Sink):
    """The SQLite file. Rows older than `max_age_days` are deleted, and the oldest when it outgrows `max_mb`."""

    path: Path = Path("dpiqa-history.db")
    max_age_days: Positive = 30
    max_mb: Annotated[float, Field(ge=1)] = 1024


class PrometheusSettings(_Sink):
    """Where `/metrics` is served, also written as `HOST:PORT`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return _host_and_port(value, "127.0.0.1:9464") if isinstance(value, str) else value


class DashboardSettings(_Sink):
    """Where the dashboard is served, also written as `HOST:PORT`.

    Every client must present the `token` (or the content of `token_file`, or the environment variable
    DPIQA_DASHBOARD_TOKEN); without one the dashboard is served only to this machine. `hosts` are further host names
    under which clients on this machine reach it, for instance through a proxy.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    token: SecretStr | None = None
    token_file: Path | None = None
    hosts: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        value = _host_and_port(value, "127.0.0.1:8080") if isinstance(value, str) else value
        if not isinstance(value, dict) or value.get("token") is not None:
            return value
        if (name := value.get("token_file")) is not None:
            try:
                return {**value, "token": Path(str(name)).read_text("utf-8").strip()}
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"token_file {name}: {system_reason(error)}") from None
        return {**value, "token": os.environ.get("DPIQA_DASHBOARD_TOKEN") or None}

    @model_validator(mode="after")
    def _is_safe(self) -> DashboardSettings:
        if self.token is not None and len(self.token.get_secret_value()) < _MIN_TOKEN:
            raise ValueError(f"the token is too short to be safe, use at least {_MIN_TOKEN} characters")
        if self.token is None and not self.is_loopback:
            raise ValueError(
                f"{self.host} can be reached from other machines: set a token of at least {_MIN_TOKEN} characters"
                " (DPIQA_DASHBOARD_TOKEN in the environment, token or token_file in the settings file)"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


class MqttSettings(_Sink):
    """A broker, `mqtt://user:password@host:1883` or `mqtts://`, and the topic below which everything is published.

    `client_id` names this monitor in `TOPIC/availability/CLIENT_ID` (default: from its host, folder and command line).
    """

    url: SecretStr
    topic: Topic = "dpiqa"
    version: Literal["3.1.1", "5"] = "3.1.1"
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", max_length=64)] = ""
    home_assistant: bool = False
    discovery_topic: Topic = "homeassistant"

    _short: ClassVar[str] = "url"

    @field_validator("url")
    @classmethod
    def _is_broker(cls, url: SecretStr) -> SecretStr:
        return _checked(url, ("mqtt", "mqtts"))


class WebhookSettings(_Sink):
    """A URL to which each message of the `types` is posted as JSON, with retries for `give_up_s`."""

    url: SecretStr
    types: tuple[MessageType, ...] = ("event",)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    thumbnail: bool = False
    timeout_s: Positive = 5
    give_up_s: Positive = 120

    _short: ClassVar[str] = "url"

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: SecretStr) -> SecretStr:
        return _checked(url, ("http", "https"))


class SinkSettings(Settings):
    """All sinks of a monitor; by default only the history."""

    jsonl: RollingSettings | None = None
    csv: RollingSettings | None = None
    sqlite: HistorySettings | None = HistorySettings()
    prometheus: PrometheusSettings | None = None
    mqtt: MqttSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    dashboard: DashboardSettings | None = None

    @model_validator(mode="after")
    def _dashboard_has_history(self) -> SinkSettings:
        if self.dashboard is not None and self.sqlite is None:
            raise ValueError("the dashboard reads the history: keep sqlite enabled (a file on a RAM disk will do)")
        return self

    @model_validator(mode="after")
    def _have_a_file_each(self) -> SinkSettings:
        paths = [section.path.absolute() for section in (self.jsonl, self.csv, self.sqlite) if section is not None]
        for path, count in Counter(paths).items():
            if count > 1 and not path.is_char_device():
                raise ValueError(f"{count} sinks write to {path}, give each a file of its own")
        return self


def _host_and_port(text: str, example: str) -> dict[str, Any]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal():
        raise ValueError(f"expected HOST:PORT, such as {example}")
    return {"host": host.strip("[]") or "0.0.0.0", "port": int(port)}


def _checked(url: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        prefix = f"begins with {schemes[0]}:// or {schemes[1]}://"
        raise ValueError(f"expected a URL that {prefix}, with a host and optionally a port up to 65535")
    return url

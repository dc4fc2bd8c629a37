"""Where a monitor's messages go: one section a sink, each with a short form of one text."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from dpiqa.runtime.monitor.settings.base import Settings

MessageType = Literal["reading", "event", "status"]
Positive = Annotated[float, Field(gt=0)]
_SHORTEST_TOKEN = 16


class _Sink(Settings):
    """A sink's section: a text in its place stands for its first field. `queue` is how many messages may wait."""

    queue: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    _short: ClassVar[str] = "path"

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return {cls._short: value} if isinstance(value, (str, Path)) else value


class RollingSettings(_Sink):
    """A file that grows to `max_mb`, then is renamed to `NAME.1` and so on; `keep` of these are kept."""

    path: Path
    max_mb: Positive = 100
    keep: Annotated[int, Field(ge=0, le=1000)] = 5


class HistorySettings(_Sink):
    """The SQLite file. What is older than `max_age_days` goes, and the oldest when it grows beyond `max_mb`."""

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

    `token` (or what is in `token_file`, or in the environment's DPIQA_DASHBOARD_TOKEN) is asked of everybody; without
    one the dashboard is served to this machine alone. `hosts` are further names that it is reached by on this machine,
    through a proxy for instance.
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
                reason = getattr(error, "strerror", None) or "not a text in UTF-8"
                raise ValueError(f"token_file {name}: {reason.lower()}") from None
        return {**value, "token": os.environ.get("DPIQA_DASHBOARD_TOKEN") or None}

    @model_validator(mode="after")
    def _is_safe(self) -> DashboardSettings:
        if self.token is not None and len(self.token.get_secret_value()) < _SHORTEST_TOKEN:
            raise ValueError(f"the token is too short to be safe, it must have at least {_SHORTEST_TOKEN} characters")
        if self.token is None and not self.is_loopback:
            raise ValueError(
                f"{self.host} can be reached from other machines: set a token of at least {_SHORTEST_TOKEN} characters"
                " (DPIQA_DASHBOARD_TOKEN in the environment, token or token_file in the configuration)"
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
    """A broker, `mqtt://user:password@host:1883` or `mqtts://`, and the topic below which all is published."""

    url: SecretStr
    topic: Annotated[str, Field(pattern=r"^[^+#\x00/][^+#\x00]*[^+#\x00/]$|^[^+#\x00/]$")] = "dpiqa"
    version: Literal["3.1.1", "5"] = "3.1.1"
    home_assistant: bool = False
    discovery_topic: str = "homeassistant"

    _short: ClassVar[str] = "url"

    @field_validator("url")
    @classmethod
    def _is_broker(cls, url: SecretStr) -> SecretStr:
        return _checked(url, ("mqtt", "mqtts"))


class WebhookSettings(_Sink):
    """An address that each message of the `types` is posted to as JSON, tried again for `give_up_s`."""

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
    """All sinks of a monitor; without any word, the history alone."""

    jsonl: RollingSettings | None = None
    csv: RollingSettings | None = None
    sqlite: HistorySettings | None = HistorySettings()
    prometheus: PrometheusSettings | None = None
    mqtt: MqttSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    dashboard: DashboardSettings | None = None

    @model_validator(mode="after")
    def _has_what_the_dashboard_reads(self) -> SinkSettings:
        if self.dashboard is not None and self.sqlite is None:
            raise ValueError("the dashboard reads the history: leave sqlite on (a file on a RAM disk will do)")
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
        begin = f"begins with {schemes[0]}:// or {schemes[1]}://"
        raise ValueError(f"expected an address that {begin} and names a host, and a port up to 65535 if any")
    return url

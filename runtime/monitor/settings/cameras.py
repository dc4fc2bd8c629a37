"""What a monitor is told to do, as flags and the YAML file say it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.settings.base import Settings
from dpiqa.runtime.monitor.settings.redact import redact
from dpiqa.runtime.monitor.settings.sinks import SinkSettings

Seconds = Annotated[float, Field(gt=0, le=86400)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Kind = Literal["network", "device", "gstreamer", "stdin", "folder", "file"]
DEFAULT_FPS = 5.0


def kind_of(source: str) -> Kind:
    """What a source is: `-`, `scheme://...`, `/dev/video0` or a number, `a ! b`, a folder, or else a file."""
    if source == "-":
        return "stdin"
    if " ! " in source:
        return "gstreamer"
    if re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
        return "network"
    if source.isdecimal() or source.startswith("/dev/video"):
        return "device"
    return "folder" if Path(source).is_dir() else "file"


class CameraConfig(Settings):
    """One source, and how to treat it.

    `fps` is how often a second it is scored (default: as the whole configuration says). A `live` source drops frames
    that it has no time for, and is reconnected; what is not live is read to its end, every frame in turn, `paced` by
    its time stamps or as fast as they can be scored. Network cameras, devices and pipelines are live unless said
    otherwise. `hwaccel` names a device type of FFmpeg (`cuda`, `vaapi`, ...) that decodes where it can.
    """

    source: Annotated[str, Field(min_length=1, repr=False)]
    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    fps: Rate | None = None
    live: bool | None = None
    paced: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    hwaccel: str | None = None
    open_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 10
    stall_s: Seconds = 3
    reconnect_ceiling_s: Seconds = 2
    alarms: AlarmSettings = AlarmSettings()

    @cached_property
    def kind(self) -> Kind:
        """What the source is; a folder that is gone later is still one."""
        return kind_of(self.source)

    @property
    def is_live(self) -> bool:
        """Whether the newest frame wins."""
        return self.kind in ("network", "device", "gstreamer") if self.live is None else self.live

    @property
    def is_finite(self) -> bool:
        """Whether its end is the end, rather than a loss."""
        return self.kind in ("stdin", "file") or (self.kind != "folder" and not self.is_live)

    @property
    def label(self) -> str:
        """What the source is called in all that is shown."""
        return self.name or redact(self.source)


class MonitorConfig(Settings):
    """The whole configuration.

    `threads` is how many CPU threads the engine has: one costs the least CPU a score, more keep up with more cameras.
    """

    model: Path | None = None
    engine: str = "auto"
    threads: Annotated[int, Field(ge=1)] = 1
    fps: Rate = DEFAULT_FPS
    status_interval_s: Seconds = 10
    cameras: tuple[CameraConfig, ...] = ()
    sinks: SinkSettings = SinkSettings()

    @model_validator(mode="after")
    def _usable(self) -> MonitorConfig:
        for label, count in Counter(camera.label for camera in self.cameras).items():
            if count > 1:
                raise ValueError(f"{count} cameras are called '{label}', give each a name of its own")
        return self

    def resolved(self) -> tuple[CameraConfig, ...]:
        """The cameras, with what they do not say themselves filled in."""
        return tuple(
            camera.model_copy(update={"name": camera.label, "fps": camera.fps or self.fps}) for camera in self.cameras
        )


MonitorSettings = MonitorConfig

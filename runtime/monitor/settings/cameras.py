"""Settings of a monitor and its cameras, from flags and the YAML file."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from dpiqa.runtime.machine import cores
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.settings.base import Settings
from dpiqa.runtime.monitor.settings.maintenance import MaintenanceWindow
from dpiqa.runtime.monitor.settings.redact import redact
from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.text import visible

Seconds = Annotated[float, Field(gt=0, le=86400)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Kind = Literal["network", "device", "gstreamer", "stdin", "folder", "file"]
DEFAULT_FPS, MOST_THREADS = 5.0, 64
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "http", "https", "udp", "tcp", "srt")
_LISTENING = ("rtp", "udp", "tcp", "srt")  # these may wait for a sender, without a host
ACCELERATORS = (
    "cuda",
    "vaapi",
    "qsv",
    "vdpau",
    "drm",
    "v4l2m2m",
    "opencl",
    "vulkan",
    "videotoolbox",
    "d3d11va",
    "dxva2",
)


def kind_of(source: str) -> Kind:
    """The kind of a source: `-`, `scheme://...`, `/dev/video0` or a number, `a ! b`, a folder, otherwise a file."""
    if source == "-":
        return "stdin"
    if " ! " in source:
        return "gstreamer"
    if re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
        return "network"
    if source.isdecimal() or source.startswith("/dev/video"):
        return "device"
    return "folder" if Path(source).is_dir() else "file"


class CameraSettings(Settings):
    """One source and how to read it.

    `fps` is the number of scores per second (default: the monitor's). A `live` source drops frames when scoring falls
    behind, and is reconnected; any other is read to its end, every frame in turn, `paced` by its time stamps or as fast
    as it can be scored. Network cameras, devices and pipelines are live by default. `hwaccel` names an FFmpeg device
    type (`cuda`, `vaapi`, ...) that decodes where it can. With `frames: keyframes` only key frames of a stream or file
    are decoded: about a tenth of the work, one score for a group of pictures, and no alarm Frozen. `crop_bars`
    cuts black bars off before anything is judged. `group` is a heading
    for cameras on the dashboard. In the windows of `maintenance` its events raise no alarm.
    """

    source: Annotated[str, Field(min_length=1, repr=False)]
    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    fps: Rate | None = None
    live: bool | None = None
    paced: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    hwaccel: str | None = None
    frames: Literal["all", "keyframes"] = "all"
    crop_bars: bool = False
    open_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 10
    stall_s: Seconds = 3
    reconnect_ceiling_s: Seconds = 2
    alarms: AlarmSettings = AlarmSettings()
    group: Annotated[str, Field(max_length=100)] = ""
    maintenance: tuple[MaintenanceWindow, ...] = ()

    @model_validator(mode="after")
    def _has_key_frames(self) -> CameraSettings:
        if self.frames == "keyframes" and self.kind in ("device", "gstreamer", "folder"):
            raise ValueError(f"frames: a {self.kind} has no key frames, leave it out or choose 'all'")
        return self

    @field_validator("source")
    @classmethod
    def _is_address(cls, source: str) -> str:
        if kind_of(source) != "network":
            return source
        scheme = source.partition("://")[0].lower()
        if scheme not in SCHEMES:
            raise ValueError(f"unknown scheme '{scheme}', expected one of {', '.join(SCHEMES)}")
        if visible(source) != source:
            raise ValueError("there are control characters in the address")
        try:
            parts = urlsplit(source)
            is_usable = parts.port != 0 and (bool(parts.hostname) or scheme in _LISTENING)
        except ValueError:
            is_usable = False
        if not is_usable:
            advice = "a / ? or # in a password is written %2F, %3F or %23"
            raise ValueError(f"expected {scheme}://HOST/... or {scheme}://HOST:PORT/... ({advice})")
        return source

    @field_validator("hwaccel")
    @classmethod
    def _is_known_accelerator(cls, name: str | None) -> str | None:
        if name is not None and name not in ACCELERATORS:
            raise ValueError(f"unknown accelerator '{name}', expected one of {', '.join(ACCELERATORS)}")
        return name

    @cached_property
    def kind(self) -> Kind:
        """The kind of the source; a folder that disappears later is still one."""
        return kind_of(self.source)

    @property
    def is_live(self) -> bool:
        """Whether only the newest frame is scored and older ones are dropped."""
        return self.kind in ("network", "device", "gstreamer") if self.live is None else self.live

    @property
    def is_finite(self) -> bool:
        """Whether the source ends, so that its end is not a signal loss."""
        return self.kind in ("stdin", "file") or (self.kind != "folder" and not self.is_live)

    @property
    def label(self) -> str:
        """The name of the source in all output, without credentials."""
        return self.name or redact(self.source)


class MonitorSettings(Settings):
    """All settings of a monitor.

    `memory` is the file that keeps over a restart what is usual for each camera (default: beside the history, with
    `.memory.json` added to its name; none without a history). `threads` is the number of CPU threads of the engine,
    each of which scores a frame of another camera (default: the cores). `max_wait_ms` is how long a frame may wait for
    those of other cameras to be scored with them in one batch (TensorRT).
    """

    model: Path | None = None
    engine: str = "auto"
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = Field(default_factory=cores)
    max_wait_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    fps: Rate = DEFAULT_FPS
    status_interval_s: Seconds = 10
    memory: Path | None = None
    cameras: tuple[CameraSettings, ...] = ()
    sinks: SinkSettings = SinkSettings()

    @model_validator(mode="after")
    def _usable(self) -> MonitorSettings:
        for label, count in Counter(camera.label for camera in self.cameras).items():
            if count > 1:
                raise ValueError(f"{count} cameras are called '{label}', give each its own name")
        return self

    @property
    def memory_file(self) -> Path | None:
        """The file that keeps what is usual, None for none."""
        if self.memory is not None or self.sinks.sqlite is None:
            return self.memory
        return self.sinks.sqlite.path.with_name(f"{self.sinks.sqlite.path.name}.memory.json")

    def resolved(self) -> tuple[CameraSettings, ...]:
        """The cameras, with defaults filled in from the monitor's settings."""
        return tuple(
            camera.model_copy(update={"name": camera.label, "fps": camera.fps or self.fps}) for camera in self.cameras
        )

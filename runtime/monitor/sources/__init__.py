"""Sources: each is a generator that opens something, yields its frames, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraSettings, Kind
from dpiqa.runtime.monitor.sources.devices import NO_GSTREAMER, has_gstreamer, read_device, read_pipeline
from dpiqa.runtime.monitor.sources.folder import watch_folder
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.monitor.sources.streams import read_stream

__all__ = ["Grab", "check_source", "open_source"]
_READERS: dict[Kind, Callable[[CameraSettings], Generator[Grab | None, None, None]]] = {
    "network": read_stream,
    "stdin": read_stream,
    "file": read_stream,
    "folder": watch_folder,
    "device": read_device,
    "gstreamer": read_pipeline,
}


def open_source(camera: CameraSettings) -> Generator[Grab | None, None, None]:
    """The frames of a source from now on; it is opened with the first request and closed with the generator.

    Yields None while a healthy source has nothing new; ends with the source. Raises InputError if it cannot be opened
    or fails; the message contains no credentials and does not name the source.
    """
    return _READERS[camera.kind](camera)


def check_source(camera: CameraSettings) -> None:
    """Raise InputError for what retrying cannot fix: a missing file, an OpenCV without GStreamer."""
    if camera.kind == "file" and not Path(camera.source).exists():
        raise InputError(f"{camera.source}: no such file, folder or address")
    if camera.kind == "gstreamer" and not has_gstreamer():
        raise InputError(f"{camera.label}: {NO_GSTREAMER}")

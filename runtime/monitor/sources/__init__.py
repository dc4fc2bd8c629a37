"""Live sources: each is a generator that opens something, yields what it shows, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraConfig, Kind
from dpiqa.runtime.monitor.sources.devices import NO_GSTREAMER, has_gstreamer, read_device, read_pipeline
from dpiqa.runtime.monitor.sources.folder import watch_folder
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.monitor.sources.streams import read_stream

__all__ = ["Grab", "check_source", "open_source"]
_READERS: dict[Kind, Callable[[CameraConfig], Generator[Grab | None, None, None]]] = {
    "network": read_stream,
    "stdin": read_stream,
    "file": read_stream,
    "folder": watch_folder,
    "device": read_device,
    "gstreamer": read_pipeline,
}


def open_source(camera: CameraConfig) -> Generator[Grab | None, None, None]:
    """What a source shows, from now on; it is opened when the first is asked for, and closed with the generator.

    Yields None where a source that is well has nothing new, ends where the source ends. Raises InputError when it
    cannot be opened or fails, whose message has no credentials in it and does not name the source.
    """
    return _READERS[camera.kind](camera)


def check_source(camera: CameraConfig) -> None:
    """Raises InputError for what waiting will not mend: a file that is missing, GStreamer that OpenCV lacks."""
    if camera.kind == "file" and not Path(camera.source).exists():
        raise InputError(f"{camera.source}: no such file, folder or address")
    if camera.kind == "gstreamer" and not has_gstreamer():
        raise InputError(f"{camera.label}: {NO_GSTREAMER}")

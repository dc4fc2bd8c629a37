"""Local cameras and GStreamer pipelines, through OpenCV."""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter
from typing import Any

import cv2
from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.sources.grab import Grab

NO_GSTREAMER = "this OpenCV lacks GStreamer, use the system's (python3-opencv on Debian and Jetson)"
_TO_BGR = " ! videoconvert ! video/x-raw,format=BGR ! appsink max-buffers=1 drop=true sync=false"


def has_gstreamer() -> bool:
    """Whether this OpenCV can run pipelines; the one from PyPI cannot."""
    return cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


def read_device(camera: CameraSettings) -> Generator[Grab, None, None]:
    """See open_source: a V4L2 camera, `/dev/video0` or its number."""
    return _read(int(camera.source) if camera.source.isdecimal() else camera.source, cv2.CAP_V4L2, "the camera")


def read_pipeline(camera: CameraSettings) -> Generator[Grab, None, None]:
    """See open_source: a GStreamer pipeline; one that takes BGR is appended if there is no `appsink`."""
    if not has_gstreamer():
        raise InputError(NO_GSTREAMER)
    pipeline = camera.source if "appsink" in camera.source else camera.source + _TO_BGR
    return _read(pipeline, cv2.CAP_GSTREAMER, "the pipeline")


def _read(source: str | int, backend: int, name: str) -> Generator[Grab, None, None]:
    try:
        capture = cv2.VideoCapture(source, backend)
    except cv2.error:
        raise InputError(f"{name} cannot be opened") from None

    def pixels() -> NDArray[Any]:
        decoded, image = capture.retrieve()
        if not decoded:
            raise InputError(f"a frame of {name} could not be decoded")
        return image

    try:
        if not capture.isOpened():
            raise InputError(f"{name} cannot be opened")
        began = perf_counter()
        while capture.grab():
            yield Grab(pixels, None, perf_counter() - began)
            began = perf_counter()
        raise InputError(f"{name} delivers no more frames")
    finally:
        capture.release()

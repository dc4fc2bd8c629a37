"""Network streams, video files and standard input, through FFmpeg (PyAV)."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import ExitError, FFmpegError, ProtocolNotFoundError
from av.error import PermissionError as NoDeviceError
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.settings.redact import redact
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.monitor.sources.pace import paced

log = logging.getLogger(__name__)

_ANALYZE_US = "1000000"  # otherwise FFmpeg may analyze five seconds of a stream before its first frame


def read_stream(camera: CameraSettings) -> Generator[Grab | None, None, None]:
    """See open_source. Sources that are not live get increasing presentation times, if need be by frame rate."""
    with _input_errors(f"no answer within {camera.open_timeout_s:g} s"):
        container = _open(camera)
    with container, _input_errors(f"no data for {camera.read_timeout_s:g} s"):
        if not container.streams.video:
            raise InputError("no video stream")
        video = container.streams.video[0]
        # More decoding threads would delay a camera's frames by one each.
        video.codec_context.thread_type = "NONE" if camera.is_live else "AUTO"
        grabs = _decoded(container, video, camera)
        if not camera.is_live:
            grabs = _in_order(grabs, _interval_s(video))
        # HLS delivers segments of some seconds at once.
        yield from paced(grabs) if camera.paced or "hls" in container.format.name else grabs


def _open(camera: CameraSettings) -> InputContainer:
    options, name = {}, camera.source
    if camera.kind == "network":
        options = {"rtsp_transport": camera.transport, "overrun_nonfatal": "1"}
        options |= {"analyzeduration": _ANALYZE_US} if camera.is_live else {}
    elif camera.kind == "stdin":
        name = "pipe:0"
    else:
        # An absolute path, because FFmpeg takes `name:` at the start of a relative one for a protocol. A playlist must
        # not make it read from the network.
        name, options = str(Path(name).absolute()), {"protocol_whitelist": "file"}
    timeouts = (camera.open_timeout_s, camera.read_timeout_s)
    if camera.hwaccel:
        try:
            return av.open(name, options=options, timeout=timeouts, hwaccel=HWAccel(camera.hwaccel))
        except NoDeviceError:  # PyAV's error for a missing device
            log.warning("%s: no hardware decoder '%s' here, decoding on the CPU", camera.label, camera.hwaccel)
    return av.open(name, options=options, timeout=timeouts)


def _decoded(container: InputContainer, video: VideoStream, camera: CameraSettings) -> Generator[Grab, None, None]:
    reformatter = VideoReformatter()  # one for all frames: each instance starts its own threads
    decoded_s, start_s = monotonic(), float((video.start_time or 0) * (video.time_base or 0))
    for packet in container.demux(video):
        if camera.is_live and not packet.size:
            return  # frames still in the decoder do not show that a lost stream is alive
        began = perf_counter()
        for frame in _frames(packet):
            pts_s = None if frame.time is None else frame.time - start_s
            yield Grab(partial(_pixels, reformatter, frame), pts_s, perf_counter() - began)
            decoded_s, began = monotonic(), perf_counter()
        if monotonic() - decoded_s > camera.read_timeout_s:
            raise InputError(f"data arrives, but no frame could be decoded for {camera.read_timeout_s:g} s")


def _frames(packet: Packet[VideoStream]) -> list[av.VideoFrame]:
    try:
        return packet.decode()
    except FFmpegError:  # damaged; the decoder continues with the next one
        return []


def _pixels(reformatter: VideoReformatter, frame: av.VideoFrame) -> NDArray[Any]:
    with _input_errors("a frame could not be converted"):
        return reformatter.reformat(frame, format="bgr24").to_ndarray()


def _in_order(grabs: Iterator[Grab], interval_s: float) -> Generator[Grab, None, None]:
    previous_s = -interval_s
    for grab in grabs:
        pts_s = grab.pts_s if grab.pts_s is not None and grab.pts_s > previous_s else previous_s + interval_s
        previous_s = pts_s
        yield Grab(grab.pixels, pts_s, grab.decode_s)


def _interval_s(video: VideoStream) -> float:
    rate = float(video.average_rate or 0)
    return 1 / rate if rate > 0 else 1 / 25


@contextmanager
def _input_errors(on_timeout: str) -> Iterator[None]:
    """Turn FFmpeg's errors into InputErrors, without the address that PyAV adds."""
    try:
        yield
    except ExitError:  # PyAV's timeout interrupts FFmpeg
        raise InputError(on_timeout) from None
    except ProtocolNotFoundError:  # SRT in the builds from PyPI
        advice = "pipe it in: ffmpeg -i ADDRESS -c copy -f mpegts - | dpiqa monitor -"
        raise InputError(f"protocol not found in this build of PyAV, {advice}") from None
    except FFmpegError as error:
        reason = redact(error.strerror or type(error).__name__)
        raise InputError(reason[:1].lower() + reason[1:]) from None

"""Network streams, video files and standard input, through FFmpeg (PyAV)."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic, perf_counter

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.error import ExitError, FFmpegError, InvalidDataError, ProtocolNotFoundError
from av.error import PermissionError as NoDeviceError
from av.video.stream import VideoStream

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.settings.redact import redact
from dpiqa.runtime.monitor.sources.grab import Grab
from dpiqa.runtime.monitor.sources.network import PROTOCOLS, check_host
from dpiqa.runtime.monitor.sources.pace import paced
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.video.convert import Converter
from dpiqa.runtime.video.deinterlace import Deinterlacer
from dpiqa.runtime.video.reader import interval_s, start_s
from dpiqa.runtime.video.source import frames_of, open_container, open_file, open_stdin, video_stream

log = logging.getLogger(__name__)

_LONGEST_GROUP_S = 60.0  # of pictures, from one key frame to the next
_ANALYZE_US = "1000000"  # otherwise FFmpeg may analyze five seconds of a stream before its first frame


def read_stream(camera: CameraSettings) -> Generator[Grab | None, None, None]:
    """See open_source. Sources that are not live get increasing presentation times, if need be by frame rate."""
    try:
        with _input_errors(f"no answer within {camera.open_timeout_s:g} s"):
            container, reason = _open(camera)
    except InputError:
        if camera.kind == "network":
            check_host(camera.source)  # FFmpeg calls an unknown host an input/output error
        raise
    with container, _input_errors(f"no data for {camera.read_timeout_s:g} s"):
        video = video_stream(container)
        # A camera's reader is one thread; more would delay its frames by one each.
        video.codec_context.thread_type = "NONE" if camera.is_live else "AUTO"
        if camera.frames == "keyframes":
            video.codec_context.skip_frame = "NONKEY"
        if camera.hwaccel and not video.codec_context.is_hwaccel:
            reason = reason or f"'{camera.hwaccel}' does not decode {video.codec_context.name}"
            log.warning("%s: %s, decoding on the CPU", camera.label, reason)
        grabs = _decoded(container, video, camera)
        if not camera.is_live:
            grabs = _in_order(grabs, interval_s(video))
        # HLS comes in segments of some seconds, each at once.
        yield from paced(grabs) if camera.paced or "hls" in container.format.name else grabs


def _open(camera: CameraSettings) -> tuple[InputContainer, str]:
    """A camera's container and, where the device for its acceleration is missing, the reason."""
    if camera.hwaccel:
        try:
            return _opened(camera, HWAccel(camera.hwaccel)), ""
        except NoDeviceError:  # PyAV's error for a missing device
            known = ", ".join(hwdevices_available())
            reason = f"no device of type '{camera.hwaccel}' here (this build of FFmpeg knows {known or 'none'})"
            return _opened(camera, None), reason
    return _opened(camera, None), ""


def _opened(camera: CameraSettings, hwaccel: HWAccel | None) -> InputContainer:
    timeouts = (camera.open_timeout_s, camera.read_timeout_s)
    if camera.kind == "file":
        return open_file(camera.source, timeouts, hwaccel)
    if camera.kind == "stdin":
        return open_stdin(None, timeouts, hwaccel)
    # FFmpeg's own list would let a playlist from the network name files of this machine.
    options = {"protocol_whitelist": PROTOCOLS, "rtsp_transport": camera.transport, "overrun_nonfatal": "1"}
    options |= {"analyzeduration": _ANALYZE_US} if camera.is_live else {}
    return open_container(camera.source, options, timeouts, hwaccel)


def _decoded(
    container: InputContainer, video: VideoStream, camera: CameraSettings
) -> Generator[Grab | None, None, None]:
    converter, deinterlacer = Converter(video), Deinterlacer()
    frame_s, begin_s, has_frame = monotonic(), start_s(video), False
    patience_s = max(camera.read_timeout_s, _LONGEST_GROUP_S if camera.frames == "keyframes" else 0)
    for packet in container.demux(video):
        if camera.is_live and not packet.size:
            return  # frames still in the decoder do not show that a lost stream is alive
        began = perf_counter()
        for decoded in [*frames_of(packet), *([] if packet.size else [None])]:
            for frame in deinterlacer.frames(decoded):
                pts_s = None if frame.time is None else frame.time - begin_s
                yield Grab(partial(_picture, converter, frame), pts_s, perf_counter() - began)
                frame_s, began, has_frame = monotonic(), perf_counter(), True
        if monotonic() - frame_s > patience_s:
            raise InputError(f"data arrives, but no frame could be decoded for {patience_s:g} s")
        if camera.frames == "keyframes" and camera.is_live and has_frame:
            yield None  # alive between key frames


def _picture(converter: Converter, frame: av.VideoFrame) -> Planes:
    picture = converter.planes(frame)
    if picture is None:
        raise InputError("a frame could not be converted")
    return picture


def _in_order(grabs: Iterator[Grab | None], interval_s: float) -> Generator[Grab, None, None]:
    previous_s = -interval_s
    for grab in filter(None, grabs):
        pts_s = grab.pts_s if grab.pts_s is not None and grab.pts_s > previous_s else previous_s + interval_s
        previous_s = pts_s
        yield Grab(grab.pixels, pts_s, grab.decode_s)


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
    except InvalidDataError:
        raise InputError("what answers is not video that can be decoded") from None
    except FFmpegError as error:
        reason = redact(error.strerror or type(error).__name__)
        raise InputError(reason[:1].lower() + reason[1:]) from None

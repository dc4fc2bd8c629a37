"""Opening video: what is refused before FFmpeg sees it, and which of its streams is shown."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError
from av.error import PermissionError as NoDeviceError
from av.packet import Packet
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from dpiqa.errors import InputError, system_reason

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel

# Demuxers that open what a file names, draw text, or are devices. Nothing is opened with them.
_REFUSED = frozenset(
    {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "tty", "bin", "xbin", "webm_dash_manifest"}
    | {"alsa", "fbdev", "image2", "kmsgrab", "lavfi", "oss", "video4linux2,v4l2", "x11grab", "dshow", "gdigrab"}
    | {"avfoundation", "ffmetadata", "vapoursynth", "avisynth"}
)
_TEXT_BYTES = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f\x1b")
_PATIENCE_S = 8.0  # for one read of a file
# A frame of more pixels than this costs more memory than it should: 8K has half of them.
_MAX_PIXELS = str(1 << 26)
# Labels that are not UTF-8 do not make a video unreadable. PyAV does so by itself from 19 on.
_ANY_LABELS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

SAFE_FORMATS = {"format_whitelist": ",".join(sorted(set(av.formats_available) - _REFUSED))}


class RawVideo(NamedTuple):
    """What frames without a container are: FFmpeg's name of their pixel format, size in pixels, frames a second."""

    pixels: str
    width: int
    height: int
    fps: float

    @classmethod
    def parse(cls, text: str) -> RawVideo:
        """Read `nv12:1920x1080@25` (without a rate: 25). Raises InputError."""
        match = re.fullmatch(r"(\w+):(\d{1,5})x(\d{1,5})(?:@(\d+(?:\.\d+)?))?", text)
        if match is None or not _is_pixel_format(match[1]) or float(match[4] or 25) <= 0:
            raise InputError(
                f"{text}: expected FORMAT:WIDTHxHEIGHT@FPS and FFmpeg's name of a format, such as nv12:1920x1080@25"
            )
        return cls(match[1], int(match[2]), int(match[3]), float(match[4] or 25))


def _is_pixel_format(name: str) -> bool:
    try:
        VideoFormat(name)
    except ValueError:
        return False
    return True


def open_container(
    name: str,
    options: dict[str, str],
    timeout_s: tuple[float, float] | None,
    hwaccel: HWAccel | None = None,
    form: str | None = None,
) -> InputContainer:
    """Open what FFmpeg opens by this name, with a limit to the pixels of a frame. Raises PyAV's errors."""
    limited = {"max_pixels": _MAX_PIXELS, **options}
    return av.open(name, "r", form, options=limited, timeout=timeout_s, hwaccel=hwaccel, **_ANY_LABELS)


def open_stdin(
    raw: RawVideo | None = None, timeout_s: tuple[float, float] | None = None, hwaccel: HWAccel | None = None
) -> InputContainer:
    """Open what is piped in: any container or, with `raw`, bare frames; `timeout_s` and errors as of `open_file`.

    Without `timeout_s` the program before may take as long as it likes.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("nothing is piped in")
    options = {"protocol_whitelist": "pipe", **SAFE_FORMATS}
    if raw is not None:
        options |= {"pixel_format": raw.pixels, "video_size": f"{raw.width}x{raw.height}", "framerate": f"{raw.fps:g}"}
    try:
        return open_container("pipe:0", options, timeout_s, hwaccel, "rawvideo" if raw else None)
    except ExitError:
        raise InputError(f"cannot be opened within {timeout_s[0] if timeout_s else 0:g} s") from None
    except NoDeviceError:
        raise
    except (FFmpegError, ValueError, RuntimeError):
        raise InputError("not a video that can be decoded") from None


def open_file(
    path: str, timeout_s: tuple[float, float] = (_PATIENCE_S, _PATIENCE_S), hwaccel: HWAccel | None = None
) -> InputContainer:
    """Open a video file; nothing else is read, and nothing connected to.

    `timeout_s` is for opening and for each read. Raises InputError, without the path, for what is no video, and
    PermissionError where there is no device for `hwaccel`.
    """
    refusal = InputError("not a video that can be decoded")
    try:
        path.encode()
        head = _head(path)
    except UnicodeEncodeError:
        raise InputError("the name of a video must be valid UTF-8, rename it") from None
    except OSError as error:
        raise InputError(system_reason(error)) from None
    if not head:
        raise InputError("the file is empty")
    if _TEXT_BYTES.issuperset(head):  # FFmpeg draws text as video
        raise refusal
    try:
        # With its protocol and an absolute path, because FFmpeg takes `name:` at the start of a name for a protocol.
        name = f"file:{os.path.abspath(path)}"  # noqa: PTH100
        return open_container(name, {"protocol_whitelist": "file", **SAFE_FORMATS}, timeout_s, hwaccel)
    except ExitError:
        raise InputError(f"cannot be opened within {timeout_s[0]:g} s") from None
    except NoDeviceError:
        raise
    except (FFmpegError, ValueError, RuntimeError):
        raise refusal from None


def _head(path: str) -> bytes:
    if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116
        return b"\0"  # what is read from a pipe is gone
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(1024)


def video_stream(container: InputContainer) -> VideoStream:
    """The video that a player shows: the default one, else the first; never a cover. Raises InputError without one."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise InputError("no video in it, only a cover picture" if container.streams.video else "no video in it")
    stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise InputError("no decoder here for its video")
    stream.codec_context.options = {"max_pixels": _MAX_PIXELS}
    return stream


def frames_of(packet: Packet[VideoStream]) -> list[av.VideoFrame]:
    """The frames that a packet completes; none of a damaged one, after which decoding goes on."""
    try:
        return packet.decode()
    except (FFmpegError, ValueError):
        return []


@contextmanager
def named(path: str) -> Iterator[None]:
    """Put the path before an InputError."""
    try:
        yield
    except InputError as error:
        name = path.encode("utf-8", "backslashreplace").decode()
        raise InputError(f"{name}: {error}") from None

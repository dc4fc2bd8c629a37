"""From a decoded frame to planes with square pixels, upright, and with their colours known."""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.video.format import VideoFormat
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.planes import Colour, Format, Plane, Planes
from dpiqa.runtime.video.geometry import Orientation, orientation_of, square_width

HD_LINES = 720  # from here an untagged video is BT.709, below it BT.601
# Numbers of H.273, as FFmpeg has them.
_BT601, _BT709, _OTHER_MATRICES = {4, 5, 6}, {1}, {7, 9, 10}
_SMPTE240M, _BT709_PRIMARIES, _BT709_CURVE = 7, 1, 1
_HDR_CURVES = {16, 18}  # PQ and HLG
_WIDE_PRIMARIES = {9, 11, 12}  # BT.2020, DCI-P3, Display P3
_SWS_MATRICES = {"bt601": 5, "bt709": 1, 7: 7, 9: 9, 10: 9}  # numbers of swscale
_SWS_RGB = 5
_LIMITED, _FULL = 1, 2
_MAPS_COLOURS = int(av.__version__.partition(".")[0]) >= 18


class _Tags(NamedTuple):
    matrix: str | int  # "bt601", "bt709", or the number of one that the core does not know
    full: bool
    maps: bool  # whether its curve or primaries are not those of the screen

    @property
    def colour(self) -> Colour | None:
        """What the core calls it, None for what it does not know."""
        if self.maps or isinstance(self.matrix, int):
            return None
        extent = "full" if self.full else "limited"
        return f"{self.matrix}-{extent}"  # type: ignore[return-value]


def reformat(reformatter: VideoReformatter, frame: av.VideoFrame, **options: Any) -> av.VideoFrame:
    """Convert with swscale, in the calling thread."""
    threads: dict[str, Any] = {"threads": 1} if _MAPS_COLOURS else {}
    return reformatter.reformat(frame, interpolation=Interpolation.BICUBIC, **options, **threads)


class Converter:
    """Turns the frames of one stream into planes, in the thread that decodes them.

    8-bit 4:2:0 and gray stay as they are, other YUV becomes I420 of 8 bits, all else BGR: also PQ, HLG and wide
    primaries, which become BT.709.
    """

    def __init__(self, video: VideoStream) -> None:
        self._video = video
        self._aspect = video.sample_aspect_ratio
        self._reformatting = Lock()  # a frame may be converted to BGR later, in another thread
        self._orientations: dict[int, Orientation] = {}
        self._reformatters: dict[
            str, VideoReformatter
        ] = {}  # one for each purpose: a change of options sets it up anew

    def planes(self, frame: av.VideoFrame) -> Planes | None:
        """The planes of a progressive frame, None of one that is damaged. Raises InputError where PyAV is too old."""
        try:
            return self._planes(frame)
        except (FFmpegError, ValueError):
            return None

    def _planes(self, frame: av.VideoFrame) -> Planes:
        tags, orientation = self._tags(frame), self._orientation(frame)
        width = square_width(frame.width, frame.height, self._aspect)
        target = _target(frame.format, tags)
        if target != "bgr24" and (width % 2 or frame.height % 2) and target != "gray":
            target = "bgr24"  # chroma at half size needs even sides
        if target == "yuyv422" and orientation.quarters % 2:
            target = "yuv420p"
        if target == "bgr24":
            return Planes((orientation.apply(self._to_bgr(frame, tags, width)),))
        if target != frame.format.name.replace("yuvj", "yuv") or width != frame.width:
            span = _FULL if tags.full else _LIMITED
            frame = self._reformat(target, frame, width, src_color_range=span, dst_color_range=span)
        planes = tuple(orientation.apply(plane) for plane in _planes(frame, target))
        return Planes(
            planes,
            _FORMATS[target],
            None if target == "gray" else tags.colour,
            None if len(planes) == 1 else lambda: orientation.apply(self._to_bgr(frame, tags, width)),
        )

    def _orientation(self, frame: av.VideoFrame) -> Orientation:
        # Asked for rarely: a frame and its side data refer to each other, and are freed late.
        if frame.rotation not in self._orientations:
            self._orientations[frame.rotation] = orientation_of(frame, self._video)
        return self._orientations[frame.rotation]

    def _to_bgr(self, frame: av.VideoFrame, tags: _Tags, width: int) -> NDArray[Any]:
        options: dict[str, int] = {}
        if not frame.format.is_rgb:
            options |= {"src_colorspace": _SWS_MATRICES[tags.matrix], "dst_colorspace": _SWS_RGB}
            options |= {"src_color_range": _FULL if tags.full else _LIMITED, "dst_color_range": _FULL}
        if tags.maps:
            options |= {"dst_color_trc": _BT709_CURVE, "dst_color_primaries": _BT709_PRIMARIES}
        return _view(self._reformat("bgr24", frame, width, **options).planes[0], 3)

    def _reformat(self, target: str, frame: av.VideoFrame, width: int, **options: int) -> av.VideoFrame:
        with self._reformatting:
            reformatter = self._reformatters.setdefault(target, VideoReformatter())
            return reformat(reformatter, frame, width=width, height=frame.height, format=target, **options)

    def _tags(self, frame: av.VideoFrame) -> _Tags:
        context = self._video.codec_context
        curve = getattr(frame, "color_trc", context.color_trc)
        primaries = getattr(frame, "color_primaries", context.color_primaries)
        matrix: str | int = "bt709" if frame.height >= HD_LINES else "bt601"
        if frame.colorspace in _BT601 | _BT709:
            matrix = "bt601" if frame.colorspace in _BT601 else "bt709"
        elif frame.colorspace in _OTHER_MATRICES:
            matrix = int(frame.colorspace)
        # What has no chroma is of full range, as everywhere in FFmpeg.
        is_full = frame.color_range == _FULL or "yuvj" in frame.format.name or _is_gray(frame.format)
        maps = curve in _HDR_CURVES or primaries in _WIDE_PRIMARIES
        if not _MAPS_COLOURS and (maps or isinstance(matrix, int)):
            raise InputError(f"HDR and BT.2020 need PyAV 18 or later and Python 3.11, found PyAV {av.__version__}")
        return _Tags(matrix, is_full, maps)


_FORMATS: dict[str, Format] = {"bgr24": "bgr", "gray": "gray", "yuv420p": "i420", "nv12": "nv12", "yuyv422": "yuyv"}


def _target(form: VideoFormat, tags: _Tags) -> str:
    name = form.name.replace("yuvj", "yuv")
    if _is_gray(form):
        return "gray"
    has_chroma = len(form.components) >= 3 and not (form.is_rgb or form.has_palette)
    if not has_chroma or name.startswith(("xyz", "bayer")) or tags.colour is None:
        return "bgr24"
    return name if name in ("nv12", "yuyv422") else "yuv420p"


def _is_gray(form: VideoFormat) -> bool:
    return form.name.startswith(("gray", "ya8", "ya16", "mono"))


def _planes(frame: av.VideoFrame, target: str) -> list[Plane]:
    packed = {"nv12": (1, 2), "yuyv422": (2,)}.get(target, (1, 1, 1))
    return [_view(plane, samples) for plane, samples in zip(frame.planes, packed, strict=False)]


def _view(plane: Any, samples: int) -> Plane:
    """The samples of a plane where they lie, uint8 `[h, w]` or `[h, w, samples]`; the view keeps the frame alive."""
    pitch = plane.line_size
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, abs(pitch))
    if pitch < 0:  # stored from the bottom up
        rows = np.ascontiguousarray(rows[::-1])
    rows = rows[:, : plane.width * samples]
    return rows if samples == 1 else rows.reshape(plane.height, plane.width, samples)

"""Reading video files, frame by frame, with the time at which each frame is shown."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.sources import STDIN
from dpiqa.runtime.video.convert import Converter
from dpiqa.runtime.video.deinterlace import Deinterlacer
from dpiqa.runtime.video.sampler import Sampler
from dpiqa.runtime.video.source import RawVideo, frames_of, named, open_file, open_stdin, video_stream

log = logging.getLogger(__name__)

_ENDS_EARLY = 0.9


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source: its planes, its number from 0, its presentation time (None for a picture)."""

    picture: Planes
    source: str
    index: int = 0
    pts_s: float | None = None

    @property
    def pixels(self) -> NDArray[Any]:
        """The picture in BGR, uint8 `[h, w, 3]`, converted when it is first asked for."""
        return self.picture.bgr


def read_video(path: str, fps: float | None = None, raw: RawVideo | None = None) -> Iterator[Frame]:
    """Decode a video file lazily, one frame in memory at a time, `fps` frames per second of video (None for all).

    `-` is standard input, a container or, with `raw`, bare frames.

    Presentation times begin at that of the first frame and always increase: where the file has none, they follow from
    its frame rate. Raises InputError for a file that is not a video or has no frame; a video that ends long before its
    header says is logged as a warning.
    """
    sampler = Sampler(fps)
    with named(path), closing(open_stdin(raw) if path == STDIN else open_file(path)) as container:
        video = video_stream(container)
        video.codec_context.thread_type = "AUTO"
        converter, count, pts = Converter(video), 0, 0.0
        for index, (frame, pts) in enumerate(timed(_decoded(container, video), video)):
            if sampler.takes(pts) and (picture := converter.planes(frame)) is not None:
                count += 1
                yield Frame(picture, path, index, pts)
        if count == 0:
            raise InputError("no frame of this video can be decoded")
        end, expected = pts + interval_s(video), _duration_s(container, video)
        # Some headers give the length, some the time of the end.
        if max(end, end + start_s(video)) < expected * _ENDS_EARLY:
            log.warning("%s: ends after %.1f of %.1f s, it was trimmed or is damaged", path, end, expected)


def announced_duration_s(path: str) -> float:
    """How long the header says that a video is, 0 where it does not say. Raises InputError like `read_video`."""
    if path == STDIN:  # can be read once only
        return 0.0
    with named(path), closing(open_file(path)) as container:
        return _duration_s(container, video_stream(container))


def timed(frames: Iterator[av.VideoFrame], video: VideoStream) -> Generator[tuple[av.VideoFrame, float], None, None]:
    """The frames with increasing times, from that of the first on, by the frame rate where the video has none."""
    begin_s, step_s = start_s(video), interval_s(video)
    before_s = -step_s
    for frame in frames:
        stored_s = None if frame.time is None else frame.time - begin_s
        before_s = stored_s if stored_s is not None and stored_s > before_s else before_s + step_s
        yield frame, before_s


def start_s(video: VideoStream) -> float:
    """The time stamp with which a stream begins."""
    return float((video.start_time or 0) * (video.time_base or 0))


def interval_s(video: VideoStream) -> float:
    """The time for which a frame is shown."""
    rate = float(video.average_rate or video.guessed_rate or 0)
    return 1 / rate if rate > 0 else 1 / 25


def _decoded(container: InputContainer, video: VideoStream) -> Iterator[av.VideoFrame]:
    deinterlacer = Deinterlacer()
    packets = container.demux(video)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:  # damaged: what the decoder still holds is all that is left
            packet = None
        for frame in [] if packet is None else frames_of(packet):
            yield from deinterlacer.frames(frame)
        if packet is None:
            yield from deinterlacer.frames(None)
            return


def _duration_s(container: InputContainer, video: VideoStream) -> float:
    stored_s = float(video.duration * (video.time_base or 0)) if video.duration else (container.duration or 0) / 1e6
    # AVI's length is cut with the file, its number of frames is not; MP4 counts frames that an edit list leaves out.
    return stored_s if container.format.name.startswith("mov") else max(stored_s, video.frames * interval_s(video))

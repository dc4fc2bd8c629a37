"""Videos that the tests make: BGR frames in any coding."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from made import Ended
from numpy.typing import NDArray

from dpiqa import Scorer
from dpiqa.runtime.engines.native import why_absent

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
WIDTH, HEIGHT, COUNT, RATE = 640, 360, 4, 25
ENGINES = ["onnxruntime"] if why_absent() else ["onnxruntime", "openvino"]
Command = Callable[..., Ended]
Pictures = Sequence[NDArray[Any]]
X264 = {"preset": "ultrafast", "crf": "6"}


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Leave the thread's scheduling as it was: for root, SVT-AV1 makes its caller a real-time thread."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


@scheduling_kept()
def encode(
    path: Path,
    pictures: Pictures,
    codec: str = "ffv1",
    pix_fmt: str = "yuv420p",
    matrix: int = 1,
    full: bool = False,
    options: dict[str, str] | None = None,
    fields: bool | None = None,
    rotation: tuple[int, bool] | None = None,
    tagged: bool = True,
    **attributes: Any,
) -> Path:
    """Write BGR frames in a coding; `matrix` is FFmpeg's number, `fields` flags the frames as interlaced."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        context, span = stream.codec_context, 2 if full else 1
        for name, value in attributes.items():
            setattr(context, name, value)
        if tagged:
            context.colorspace, context.color_range = matrix, span
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame = converted(frame, pix_fmt, matrix, span)
            if fields is not None:
                frame = flagged(frame)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            if not tagged:
                frame.colorspace, frame.color_range = 2, 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def converted(frame: av.VideoFrame, pix_fmt: str, matrix: int, span: int) -> av.VideoFrame:
    if frame.format.name == pix_fmt:
        return frame
    number = {1: 1, 5: 5, 6: 5, 9: 9}[matrix]
    return frame.reformat(format=pix_fmt, src_colorspace=5, dst_colorspace=number, dst_color_range=span)


def flagged(frame: av.VideoFrame) -> av.VideoFrame:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, RATE))
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.vpull()


def woven(pictures: Pictures) -> Pictures:
    """Frames whose even lines are of one moment and whose odd lines are of the next."""
    frames = []
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        frame = first.copy()
        frame[1::2] = second[1::2]
        frames.append(frame)
    return frames


def scores(scorer: Scorer, path: Path) -> list[float]:
    return [reading.score for reading in scorer.stream(path)]


def set_display_matrix(path: Path, degrees: int, mirrored: bool) -> None:
    """Write a matrix into the track's header: mirror first, then turn counter-clockwise by `degrees`."""
    a, b = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    c, d = -b, a
    if mirrored:
        a, b = -a, -b
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + len(identity) :])


def with_cover(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Sound with a cover picture."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = picture.shape[0], picture.shape[1], "yuvj420p"
        cover.disposition = Disposition.attached_pic
        packets = cover.encode(av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="yuvj420p"))
        packets += cover.encode()
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        container.mux([*sound.encode(silence), *sound.encode()])
        container.mux(packets)
    return path

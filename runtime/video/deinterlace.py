"""Making whole frames of fields, where a video really has fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import av
import cv2
import numpy as np
from av.error import BlockingIOError as NotYetError
from av.error import EOFError as EndError
from av.filter import Graph
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from dpiqa.runtime.video.convert import reformat

_BLOCK = 16
_LEVELS, _TIMES, _SHARE = 3.0, 1.6, 0.004
_PATIENCE = 50  # frames without any comb after which a video counts as progressive again


class Deinterlacer:
    """Gives every frame of one stream as a progressive one, in the same order.

    Frames that are not flagged as interlaced pass as they are. Flagged frames pass too, unless lines of two moments are
    combed in them: from then on the flagged frames go through FFmpeg's bwdif, one frame for each.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._graph: Graph | None = None
        self._key: tuple[object, ...] = ()
        self._left = 0

    def frames(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """What can be shown once `frame` is decoded; None for the end."""
        if frame is None or not frame.interlaced_frame:
            yield from self._flushed()
            if frame is not None:
                yield frame
            return
        self._left = _PATIENCE if is_combed(self._luma(frame)) else max(0, self._left - 1)
        key = ("bwdif" if self._left else "setfield", frame.format.name, frame.width, frame.height)
        if key != self._key:
            yield from self._flushed()
            self._graph, self._key = _graph(key[0], frame), key
        assert self._graph is not None
        yield from _through(self._graph, frame)

    def _luma(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        return np.asarray(reformat(self._reformatter, frame, format="gray").to_ndarray(), np.uint8)

    def _flushed(self) -> Iterator[av.VideoFrame]:
        graph, self._graph, self._key = self._graph, None, ()
        if graph is not None:
            yield from _through(graph, None)


def is_combed(luma: NDArray[np.uint8]) -> bool:
    """Whether the odd lines of a picture, uint8 `[h, w]`, show another moment than the even ones.

    A line of a whole picture is much like the lines beside it, and less like those two away. Of two fields in which
    something moves it is the other way round, in the blocks where it moves.
    """
    levels = luma[:, :: max(1, luma.shape[1] // 480)].astype(np.float32)
    if min(levels.shape) < 2 * _BLOCK:
        return False
    near = np.abs(levels[2:-2] - (levels[1:-3] + levels[3:-1]) / 2)
    far = np.abs(levels[2:-2] - (levels[:-4] + levels[4:]) / 2)
    blocks = (near.shape[1] // _BLOCK, near.shape[0] // _BLOCK)
    near, far = (cv2.resize(error[: blocks[1] * _BLOCK, : blocks[0] * _BLOCK], blocks, interpolation=cv2.INTER_AREA)
                 for error in (near, far))  # fmt: skip
    return bool(np.mean(near > _LEVELS + _TIMES * far) > _SHARE)


def _graph(name: str, frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    step = graph.add(name, "mode=send_frame:deint=all" if name == "bwdif" else "mode=prog")
    graph.link_nodes(source, step, graph.add("buffersink")).configure()
    return graph


def _through(graph: Graph, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    with suppress(NotYetError, EndError):
        graph.push(frame)
        while True:
            yield graph.vpull()

"""The curve: score over time for videos, scores side by side for pictures.

Drawn with OpenCV, which is needed for decoding anyway: a plotting library would be a fifth of the whole installation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

import cv2
import numpy as np

from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import BANDS, Band, Reading, band, main_cause, printable

WIDTH = 1200
MAX_BARS = 40
_DIP = 60  # below good; a stretch below it for a fiftieth of the time is told its cause
BAND_BGR: dict[Band, tuple[int, int, int]] = {
    "bad": (39, 48, 215),
    "poor": (89, 141, 252),
    "fair": (120, 210, 250),
    "good": (106, 217, 166),
    "excellent": (80, 152, 26),
}
_LINES_BGR = ((180, 119, 31), (40, 39, 214), (189, 103, 148), (75, 86, 140), (34, 34, 34))
_INK, _VOID = (60, 60, 60), (200, 200, 200)
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)


def plot_png(stream: BinaryIO, videos: Sequence[Pool], pictures: Mapping[str, Reading]) -> None:
    """Write a PNG: one line for each video, one bar for each picture (a histogram for more than 40).

    Where there is nothing to see, a grey stretch or the word says so. At least one video or picture must be given.
    """
    panels = [_curves(videos)] if videos else []
    if pictures:
        panels.append(_bars(pictures) if len(pictures) <= MAX_BARS else _histogram(pictures))
    _, png = cv2.imencode(".png", np.vstack(panels))
    stream.write(png.tobytes())


class _Axes:
    """A white canvas with a rectangle on which data coordinates are laid; y grows upwards."""

    def __init__(self, height: int, left: int, x_end: float, y_end: float, top: int = 40) -> None:
        self.canvas = np.full((height, WIDTH, 3), 255, np.uint8)
        self._box = (left, top, WIDTH - 110, height - 50)
        self._ends = (x_end or 1.0, y_end or 1.0)

    def at(self, x: float, y: float) -> tuple[int, int]:
        left, top, right, bottom = self._box
        across, up = x / self._ends[0], y / self._ends[1]
        return round(left + across * (right - left)), round(bottom - up * (bottom - top))

    def fill(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int], tint: float = 1.0) -> None:
        blended = tuple(255 - tint * (255 - channel) for channel in colour)
        cv2.rectangle(self.canvas, self.at(x0, y0), self.at(x1, y1), blended, cv2.FILLED)

    def line(self, points: Sequence[tuple[int, int]], colour: tuple[int, int, int], thickness: int = 1) -> None:
        cv2.polylines(self.canvas, [np.array(points, np.int32)], False, colour, thickness, cv2.LINE_AA)

    def text(self, text: str, place: tuple[int, int], align: float = 0.0, colour: tuple[int, int, int] = _INK) -> None:
        """Write on the line that ends `place`; `align` 0 starts there, 0.5 centres, 1 ends there."""
        _, height = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0]
        corner = (round(place[0] - align * _text_width(text)), place[1] + height // 2)
        cv2.putText(self.canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)

    def x_ticks(self, values: Sequence[float], label: str) -> None:
        for value in values:
            x, y = self.at(value, 0)
            self.line([(x, y), (x, y + 5)], _INK)
            self.text(f"{value:g}", (x, y + 16), 0.5)
        self.text(label, ((self._box[0] + self._box[2]) // 2, self._box[3] + 36), 0.5)


def _text_width(text: str) -> int:
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0]


def _curves(videos: Sequence[Pool]) -> np.ndarray:
    end = max(float(pool.curve()[0][-1]) for pool in videos)
    axes = _Axes(480, 60, end, 100, top=30 + 20 * min(len(videos), len(_LINES_BGR)))
    start = 0.0
    for top, name in BANDS:
        axes.fill(0, start, end or 1, top, BAND_BGR[name], tint=0.25)
        axes.text(name, (WIDTH - 100, axes.at(0, (start + top) / 2)[1]))
        axes.text(f"{top:g}", (50, axes.at(0, top)[1]), 1)
        start = top
    for pool in videos:
        _mark_voids(axes, pool, end)
    step = next((step for step in _STEPS if end <= 12 * step), _STEPS[-1])
    axes.x_ticks(np.arange(0, end + 1e-6, step).tolist(), "time (s)")
    for number, pool in enumerate(videos):
        colour = _LINES_BGR[number % len(_LINES_BGR)]
        pts, scores = pool.curve()
        axes.line([axes.at(x, y) for x, y in zip(pts, scores, strict=True)], colour, 2)
        if number < len(_LINES_BGR):
            axes.text(_label(pool.source), (60, 18 + 20 * number), colour=colour)
    if len(videos) == 1:
        _name_causes(axes, videos[0], end)
    return axes.canvas


def _name_causes(axes: _Axes, pool: Pool, end: float) -> None:
    pts, _ = pool.curve()
    for dip in pool.dips(_DIP):
        if pts[dip.last] - pts[dip.first] > end / 50:
            x, y = axes.at(float(pts[dip.first] + pts[dip.last]) / 2, dip.lowest)
            axes.text(dip.cause.replace("_", " "), (x, min(y + 18, axes.at(0, 0)[1] - 10)), 0.5)


def _mark_voids(axes: _Axes, pool: Pool, end: float) -> None:
    pts, voids = pool.curve()[0], pool.voids()
    ends = [*pts[1:], end]
    first = None
    for place, void in enumerate(voids):
        if void is None:
            continue
        axes.fill(float(pts[place]), 0, float(ends[place]), 100, _VOID)
        first = place if first is None else first
    if first is not None:
        axes.text(f"{voids[first]}, nothing to see", (axes.at(float(pts[first]), 0)[0] + 6, axes.at(0, 50)[1]))


def _bars(pictures: Mapping[str, Reading]) -> np.ndarray:
    """The worst picture on top, each with what lowers it."""
    worst_first = sorted(pictures.items(), key=lambda item: item[1].score)
    left = 30 + max(_text_width(_label(name)) for name in pictures)
    axes = _Axes(100 + 24 * len(pictures), left, 100, len(pictures), top=30)
    start = 0.0
    for top, name in BANDS:
        axes.fill(start, 0, top, len(pictures), BAND_BGR[name], tint=0.25)
        axes.text(name, ((axes.at(start, 0)[0] + axes.at(top, 0)[0]) // 2, 18), 0.5)
        start = top
    for row, (name, reading) in enumerate(reversed(worst_first)):
        score = reading.score
        axes.fill(0, row + 0.15, score, row + 0.85, BAND_BGR[band(score)])
        middle = axes.at(0, row + 0.5)[1]
        axes.text(_label(name), (left - 10, middle), 1)
        why = (
            f"{reading.void}, nothing to see" if reading.void else (main_cause(reading.causes) or "").replace("_", " ")
        )
        axes.text(f"{score:.1f} {why}", (axes.at(score, 0)[0] + 6, middle))
    axes.x_ticks(range(0, 101, 20), "score")
    return axes.canvas


def _histogram(pictures: Mapping[str, Reading]) -> np.ndarray:
    counts, edges = np.histogram([reading.score for reading in pictures.values()], bins=50, range=(0, 100))
    axes = _Axes(420, 60, 100, float(counts.max()))
    for count, left in zip(counts, edges, strict=False):
        if count:
            axes.fill(left, 0, left + 1.7, float(count), BAND_BGR[band(float(left))])
    axes.text(f"{counts.max()}", (50, axes.at(0, float(counts.max()))[1]), 1)
    void = sum(reading.void is not None for reading in pictures.values())
    axes.text(f"{len(pictures)} pictures" + (f", {void} with nothing to see" if void else ""), (60, 18))
    axes.x_ticks(range(0, 101, 20), "score")
    return axes.canvas


def _label(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 54 else "..." + name[-51:]

"""The curve: score over time for videos, scores side by side for pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .pooling import Pool
from .reading import BANDS, Band, band

BAND_COLOURS: dict[Band, str] = {
    "bad": "#d73027",
    "poor": "#fc8d59",
    "fair": "#fee08b",
    "good": "#a6d96a",
    "excellent": "#1a9850",
}
MAX_BARS = 40
MAX_POINTS = 2000


def plot_png(stream: BinaryIO, videos: Sequence[Pool], pictures: Mapping[str, float]) -> None:
    """Write a PNG: one line for each video, one bar for each picture (a histogram for more than 40).

    `pictures` maps names to scores. At least one video or picture must be given.
    """
    heights = [4.0] * bool(videos) + [max(2.5, 1.2 + 0.25 * min(len(pictures), MAX_BARS))] * bool(pictures)
    figure = Figure(figsize=(10, sum(heights)), dpi=120, layout="constrained")
    axes = list(figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0])
    if videos:
        _curves(axes.pop(0), videos)
    if pictures:
        (_bars if len(pictures) <= MAX_BARS else _histogram)(axes.pop(0), pictures)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        figure.savefig(stream, format="png")


def _curves(axes: Axes, videos: Sequence[Pool]) -> None:
    start = 0.0
    for end, name in BANDS:
        axes.axhspan(start, end, color=BAND_COLOURS[name], alpha=0.18, linewidth=0)
        axes.text(1.005, (start + end) / 2, name, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        start = end
    for pool in videos:
        pts, scores = pool.curve()
        step = max(1, -(-len(pts) // MAX_POINTS))
        firsts = np.arange(0, len(pts), step)
        means = np.add.reduceat(scores, firsts) / np.diff(np.append(firsts, len(pts)))
        marker = "o" if len(firsts) < 40 else None
        (line,) = axes.plot(pts[firsts], means, label=_label(pool.source), linewidth=1.3, marker=marker, markersize=3)
        if step > 1:
            lowest = np.minimum.reduceat(scores, firsts)
            axes.fill_between(pts[firsts], lowest, means, color=line.get_color(), alpha=0.3, linewidth=0)
    axes.set(xlabel="time (s)", ylabel="score", ylim=(0, 100))
    axes.margins(x=0)
    if len(videos) == 1:
        axes.set_title(_label(videos[0].source))
    else:
        axes.legend(fontsize=8)


def _bars(axes: Axes, pictures: Mapping[str, float]) -> None:
    places, scores = range(len(pictures)), list(pictures.values())
    axes.barh(places, scores, color=[BAND_COLOURS[band(score)] for score in scores])
    axes.set_yticks(places, [_label(name) for name in pictures], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="score", xlim=(0, 100))


def _histogram(axes: Axes, pictures: Mapping[str, float]) -> None:
    _, edges, patches = axes.hist(list(pictures.values()), bins=50, range=(0, 100))
    for left, patch in zip(edges, patches, strict=False):  # type: ignore[arg-type]
        patch.set_facecolor(BAND_COLOURS[band(left)])
    axes.set(xlabel="score", ylabel="pictures", xlim=(0, 100), title=f"{len(pictures)} pictures")


def _label(name: str) -> str:
    shown = name if len(name) <= 60 else "\u2026" + name[-59:]
    return " " + shown.replace("$", r"\$")  # a leading underscore would hide it from the legend

"""From the scores of frames to the score of a video."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.reading import Reading, Summary, WorstSecond, band, main_cause
from dpiqa.runtime.void import Void

Scores = NDArray[np.float64]
_VOIDS: tuple[Void | None, ...] = (None, *get_args(Void))


class Dip(NamedTuple):
    """A stretch of a video that scores less than good: its first and last frame, the lowest of its scores, and why."""

    first: int
    last: int
    lowest: float
    cause: str


class Interval(NamedTuple):
    """A stretch of a video: when it starts, the mean and the lowest score in it, and its void if it shows nothing."""

    pts_s: float
    mean: float
    min: float
    void: Void | None = None


class Pool:
    """Collects the readings of one video, 18 bytes a frame."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._pts, self._scores, self._voids, self._causes = array("d"), array("d"), array("b"), array("b")
        self._names: list[str | None] = [None]

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, reading: Reading) -> None:
        """Add the next reading, in order of time."""
        self._pts.append(reading.pts_s or 0.0)
        self._scores.append(reading.score)
        self._voids.append(_VOIDS.index(reading.void))
        cause = main_cause(reading.causes)
        if cause not in self._names:
            self._names.append(cause)
        self._causes.append(self._names.index(cause))

    def curve(self) -> tuple[Scores, Scores]:
        """Presentation times in seconds and scores, each float64 `[frames]`."""
        return np.array(self._pts), np.array(self._scores)

    def voids(self) -> list[Void | None]:
        """What each frame is void of, in their order."""
        return [_VOIDS[number] for number in self._voids]

    def causes(self) -> list[str | None]:
        """The main cause of each frame, None where none is strong enough."""
        return [self._names[number] for number in self._causes]

    def duration_s(self) -> float:
        """From the first frame to the end of the last, which is taken to last as long as a typical one."""
        pts, _ = self.curve()
        return float(pts[-1] - pts[0] + np.median(np.diff(pts))) if len(pts) > 1 else 0.0

    def summary(self) -> Summary:
        """The pooled scores; at least one reading must have been added."""
        pts, scores = self.curve()
        mean = float(scores.mean())
        return Summary(
            source=self.source,
            frames=len(self),
            duration_s=self.duration_s(),
            mean=mean,
            band=band(mean),
            p5=float(np.percentile(scores, 5)),
            harmonic_mean=harmonic_mean(scores),
            worst_second=worst_second(pts, scores, self.duration_s()),
            min=float(scores.min()),
            void_frames=sum(number > 0 for number in self._voids),
        )

    def dips(self, limit: float) -> Iterator[Dip]:
        """The stretches that fall below `limit`, to where they rise 5 above it, with the cause that most frames name.

        Those in which most name none, or not the same, are left out.
        """
        _, scores = self.curve()
        causes = self.causes()
        edges = np.flatnonzero(np.diff(np.concatenate(([False], scores < limit + 5, [False])).astype(np.int8)))
        for first, end in edges.reshape(-1, 2).tolist():
            ((cause, count),) = Counter(causes[first:end]).most_common(1)
            lowest = float(scores[first:end].min())
            if cause and 2 * count > end - first and lowest < limit:
                yield Dip(first, end - 1, lowest, cause)

    def intervals(self, step_s: float) -> Iterator[Interval]:
        """The curve in steps of `step_s` seconds on a grid from 0; steps without a frame are left out."""
        pts, scores = self.curve()
        cells, starts = np.unique(np.floor(pts / step_s), return_index=True)
        voids = np.array(self._voids)
        parts = zip(cells, np.split(scores, starts[1:]), np.split(voids, starts[1:]), strict=True)
        for cell, part, kinds in parts:
            void = _VOIDS[int(kinds[0])] if kinds.all() else None
            yield Interval(float(cell * step_s), float(part.mean()), float(part.min()), void)


def harmonic_mean(scores: Scores) -> float:
    """A mean that leans towards the worst frames, as libvmaf pools: shifted by 1, so that one 0 does not give 0."""
    return float(1 / np.mean(1 / (1 + np.maximum(scores, 0))) - 1)


def worst_second(pts: Scores, scores: Scores, duration_s: float) -> WorstSecond:
    """The lowest mean over a second that starts at a frame and fits into the video, or over all of a shorter one."""
    ends = np.searchsorted(pts, pts + 1 - 1e-6)
    fits = np.flatnonzero(pts + 1 <= pts[0] + duration_s + 1e-6)
    starts = fits if fits.size else np.array([0])
    sums = np.concatenate(([0.0], np.cumsum(scores)))
    means = (sums[ends[starts]] - sums[starts]) / (ends[starts] - starts)
    lowest = int(means.argmin())
    return WorstSecond(pts_s=float(pts[starts[lowest]]), mean=float(means[lowest]))

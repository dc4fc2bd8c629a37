"""The scene that a camera is fixed on, and how a frame compares with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.monitor.alarms.view import COLUMNS, ROWS, Cells, View
from dpiqa.runtime.monitor.settings.alarms import GlobalSceneChange

_MIN_SCENE_LEVELS = 1.0  # with a lower standard deviation between cells, there is no scene to recognise
_FOLLOW_S = 1800.0  # how slowly a scene follows changes of light
_LONGEST_STEP_S = 10.0
_FIT_ROUNDS = 3
_UNCHANGED_LEVELS = 16.0  # up to which a cell is as bright as it was
_OUTLIER_LEVELS, _OUTLIER_SHARE = 8.0, 0.35  # what no change of light explains, in levels and in the scene's spread
_DETAIL = 40.0  # a cell's sharpness from which its loss can be seen
_LOST, _KEPT = 0.35, 0.6  # the fraction of a cell's sharpness that is left where it is lost, and where it is kept


@dataclass(frozen=True)
class Match:
    """A frame against the scene.

    `likeness` is the correlation, -1 to 1; `gain` the contrast of the scene that is left, `lift` the levels by which
    its darkest parts are lighter; `hidden` the fraction of cells that no change of light explains; `lost` the fraction
    of the detailed cells that lost their sharpness while the others kept it, 0 where they did not; `unchanged` the
    fraction of cells that are as bright as they were.
    """

    likeness: float
    gain: float
    lift: float
    hidden: float
    lost: float
    unchanged: float


class Scene:
    """Learns a scene once it has stayed the same for `settle_s`, and follows it slowly."""

    def __init__(self, settings: GlobalSceneChange) -> None:
        self._settle_s, self._same = settings.settle_s, settings.clear_at
        self._latest: tuple[float, NDArray[np.float64]] | None = None
        self._means: NDArray[np.float64] | None = None
        self._sharpness: NDArray[np.float64] | None = None
        self._learnt_s, self._learnt_at_s = 0.0, 0.0

    def learn(self, now_s: float, view: View) -> None:
        """Settle on the scene, or follow it."""
        direction = _direction(view.means)
        if direction is None:
            self._latest = None
        elif self._means is not None and self._sharpness is not None:
            step_s = min(max(0.0, now_s - self._learnt_at_s), _LONGEST_STEP_S)
            self._learnt_s, self._learnt_at_s = self._learnt_s + step_s, now_s
            weight = step_s / max(min(self._learnt_s, _FOLLOW_S), step_s, 1e-6)
            self._means += weight * (view.means.ravel() - self._means)
            # The edges of what goes by are many times as sharp as a wall: they must not become what is usual there.
            sharpness = np.minimum(view.sharpness.ravel(), 2 * self._sharpness + _DETAIL)
            self._sharpness += weight * (sharpness - self._sharpness)
        elif self._latest is None or float(direction @ self._latest[1]) < self._same:
            self._latest = now_s, direction
        elif now_s - self._latest[0] >= self._settle_s:
            self._means = view.means.ravel().astype(np.float64)
            self._sharpness = view.sharpness.ravel().astype(np.float64)
            self._learnt_at_s = now_s

    def match(self, view: View) -> Match | None:
        """How a frame compares with the scene, None where either shows none."""
        direction = _direction(view.means)
        if self._means is None or self._sharpness is None or direction is None:
            return None
        scene = _direction(self._means)
        if scene is None:
            return None
        gain, offset, hidden = _fit(self._means, view.means.ravel().astype(np.float64))
        darkest = float(np.percentile(self._means, 5))
        detailed = self._sharpness >= _DETAIL
        left = view.sharpness.ravel()[detailed] / self._sharpness[detailed]
        lost = left < _LOST
        keeps = left.size > 0 and not lost.all() and float(np.median(left[~lost])) >= _KEPT
        return Match(
            likeness=float(direction @ scene),
            gain=gain,
            lift=gain * darkest + offset - darkest,
            hidden=hidden,
            lost=float(lost.mean()) if keeps else 0.0,
            unchanged=float((np.abs(view.means.ravel() - self._means) <= _UNCHANGED_LEVELS).mean()),
        )

    def to_json(self) -> dict[str, Any] | None:
        """What to keep over a restart, None before there is a scene."""
        if self._means is None or self._sharpness is None:
            return None
        means, sharpness = self._means.round(2).tolist(), self._sharpness.round(2).tolist()
        return {"learnt_s": round(self._learnt_s, 1), "means": means, "sharpness": sharpness}

    def restore(self, document: dict[str, Any] | None, now_s: float) -> None:
        """Take over what was kept. Raises ValueError, TypeError or KeyError for anything else."""
        if document is None:
            return
        means, sharpness = (np.asarray(document[name], np.float64) for name in ("means", "sharpness"))
        if means.shape != (ROWS * COLUMNS,) or sharpness.shape != means.shape:
            raise ValueError("a scene has 144 cells")
        self._means, self._sharpness = means, sharpness
        self._learnt_s, self._learnt_at_s = float(document["learnt_s"]), now_s


def _direction(means: Cells | NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The cells with mean 0 and length 1, None for a flat frame."""
    centred = means.ravel().astype(np.float64)
    centred -= centred.mean()
    return None if centred.std() < _MIN_SCENE_LEVELS else centred / np.linalg.norm(centred)


def _fit(scene: NDArray[np.float64], frame: NDArray[np.float64]) -> tuple[float, float, float]:
    """Gain and offset that best explain a frame by the scene, and the fraction of cells that they do not explain."""
    kept = np.ones(scene.size, bool)
    gain, offset, limit = 1.0, 0.0, _OUTLIER_LEVELS
    for _ in range(_FIT_ROUNDS):
        spread = scene[kept].var()
        if spread < _MIN_SCENE_LEVELS:
            break
        gain = float(np.mean((scene[kept] - scene[kept].mean()) * (frame[kept] - frame[kept].mean())) / spread)
        offset = float(frame[kept].mean() - gain * scene[kept].mean())
        residuals = np.abs(frame - gain * scene - offset)
        limit = max(_OUTLIER_LEVELS, _OUTLIER_SHARE * abs(gain) * float(scene.std()))
        kept = residuals <= max(limit, float(np.median(residuals)))
    hidden = np.abs(frame - gain * scene - offset) > limit
    return gain, offset, float(hidden.mean())

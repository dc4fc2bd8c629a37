"""The plot's bars and the names of what lowers a video."""

from __future__ import annotations

import io

import cv2
import numpy as np

from dpiqa.runtime.plot import BAND_BGR, plot_png
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import Reading, band


def _drawn(pools: list[Pool], pictures: dict[str, Reading]) -> np.ndarray:
    stream = io.BytesIO()
    plot_png(stream, pools, pictures)
    return np.asarray(cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR))


def _reading(score: float, causes: dict[str, float] | None = None, pts_s: float | None = None) -> Reading:
    return Reading(source="x", pts_s=pts_s, score=score, band=band(score), causes=causes or {})


def test_the_worst_picture_is_on_top_and_short_names_leave_no_empty_quarter() -> None:
    image = _drawn([], {"good.png": _reading(70), "bad.png": _reading(10), "fine.png": _reading(90)})
    places = {name: np.nonzero((image == BAND_BGR[name]).all(axis=2)) for name in ("bad", "good", "excellent")}
    rows = [places[name][0].mean() for name in ("bad", "good", "excellent")]
    assert rows == sorted(rows)
    assert all(columns.min() < image.shape[1] / 4 for _, columns in places.values())


def test_a_poor_stretch_has_its_cause_below_it() -> None:
    def curve(causes: dict[str, float]) -> np.ndarray:
        pool = Pool("x")
        for second in range(100):
            poor = 40 <= second < 60
            pool.add(_reading(30 if poor else 80, causes if poor else {}, pts_s=second))
        return _drawn([pool], {})

    rows, columns = np.nonzero((curve({"blur": 0.9}) != curve({"blur": 0.1})).any(axis=2))
    assert 480 < columns.mean() < 670, "in the middle of the time"
    assert rows.min() > 316, "below the line at 30"

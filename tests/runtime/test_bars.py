"""Black bars: found in every layout, cut alike on both sides, and never where a scene is only dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import photo

from dpiqa import Scorer
from dpiqa.runtime.bars import BarCrop, bars_of
from dpiqa.runtime.planes import Planes

HEIGHT, WIDTH = 240, 320


def _boxed(above: int, below: int, left: int, right: int, noise: int = 0) -> np.ndarray:
    frame = np.random.default_rng(0).integers(0, noise + 1, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    rows, columns = HEIGHT - above - below, WIDTH - left - right
    frame[above : above + rows, left : left + columns] = np.maximum(photo(rows, columns), 40)
    return frame


def _layouts(bgr: np.ndarray) -> list[Planes]:
    i420 = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    luma, chroma = i420[:HEIGHT], i420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    pairs = np.dstack([np.repeat(chroma[number], 2, axis=0) for number in (0, 1)]).reshape(HEIGHT, WIDTH, 1)
    return [
        Planes((bgr,)),
        Planes((np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8),), "gray"),
        Planes((luma, chroma[0], chroma[1]), "i420", "bt601-limited"),
        Planes((luma, np.dstack([chroma[0], chroma[1]])), "nv12", "bt601-limited"),
        Planes((np.dstack([luma, pairs]),), "yuyv", "bt601-limited"),
    ]


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(3, 40), columns=st.integers(4, 60), noise=st.integers(0, 6))
def test_bars_are_cut_in_every_layout(rows: int, columns: int, noise: int) -> None:
    for picture in _layouts(_boxed(rows, rows, columns, columns, noise)):
        cropped = BarCrop().crop(picture)
        assert cropped.size == (HEIGHT - 2 * (rows + rows % 2), WIDTH - 2 * (columns + columns % 2))
        assert cropped.bgr.shape[:2] == cropped.size
        assert cropped.bgr.max(axis=2).min(axis=1).max() > 20


@pytest.mark.parametrize("sides", [(2, 2, 0, 0), (40, 0, 0, 0), (0, 0, 0, 60), (0, 0, 3, 3)])
def test_an_edge_and_a_bar_on_one_side_stay(sides: tuple[int, int, int, int]) -> None:
    picture = Planes((_boxed(*sides),))
    assert BarCrop().crop(picture) is picture


def test_a_dark_scene_stays_whole_and_loses_nothing_after_a_bright_one() -> None:
    dark = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    dark[100:140, 150:170] = 200  # one lit window
    assert bars_of(Planes((dark,))) is None
    crop = BarCrop()
    assert crop.crop(Planes((_boxed(20, 20, 0, 0),))).size == (200, WIDTH)
    wider = Planes((_boxed(60, 60, 0, 0),))  # a darker scene in the same frame
    assert crop.crop(wider).size == (200, WIDTH)
    assert crop.crop(Planes((_boxed(0, 0, 0, 0),))).size == (HEIGHT, WIDTH)
    assert crop.crop(wider).size == (HEIGHT, WIDTH)


def test_a_boxed_picture_scores_as_what_is_in_the_box(model_path: Path, write_video: Callable[..., Path]) -> None:
    inner, boxed = photo(180, WIDTH), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    inner = np.maximum(inner, 40)
    boxed[30:210] = inner
    scorer, plain = Scorer(model_path, crop_bars=True), Scorer(model_path)
    video = write_video([boxed] * 3)
    wanted = plain.score(inner).score
    assert scorer.score(boxed).score == pytest.approx(wanted)
    assert [reading.score for reading in scorer.stream(video)] == pytest.approx([wanted] * 3, abs=0.2)
    assert [reading.score for reading in plain.stream(video)] != pytest.approx([wanted] * 3, abs=0.2)

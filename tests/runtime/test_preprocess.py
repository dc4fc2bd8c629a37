"""The resize rule `area` against what OpenCV does and what geometry demands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import photo

from dpiqa.runtime.preprocess import resize_area, to_input
from dpiqa.runtime.spec import InputSpec

sides = st.integers(1, 150)


@pytest.mark.parametrize(("height", "width"), [(40, 50), (96, 50), (48, 64), (95, 127)])
def test_shrinking_is_opencvs_area_averaging(height: int, width: int) -> None:
    expected = cv2.resize(photo(96, 128), (width, height), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resize_area(photo(96, 128), height, width), expected)


@pytest.mark.parametrize(("height", "width"), [(200, 300), (96, 300), (97, 129)])
def test_growing_is_opencvs_bilinear_interpolation(height: int, width: int) -> None:
    expected = cv2.resize(photo(96, 128), (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_area(photo(96, 128), height, width), expected)


@pytest.mark.parametrize(("height", "width"), [(32, 256), (192, 32)])
def test_one_axis_shrinks_while_the_other_grows(height: int, width: int) -> None:
    image = photo(96, 128)
    shrunk = cv2.resize(image, (min(128, width), min(96, height)), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_area(image, height, width), expected)


def test_shrinking_by_a_whole_factor_takes_block_means() -> None:
    image = photo(96, 128)
    means = image.reshape(24, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(resize_area(image, 24, 32) - means).max() <= 0.5


def test_same_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resize_area(photo(), 96, 128), photo())


@given(sides, sides, sides, sides, st.integers(0, 255))
def test_a_constant_picture_stays_constant(h: int, w: int, height: int, width: int, level: int) -> None:
    resized = resize_area(np.full((h, w, 3), level, np.uint8), height, width)
    assert resized.shape == (height, width, 3)
    assert resized.dtype == np.uint8
    assert (resized == level).all()


@given(sides, sides, sides, sides)
def test_levels_stay_within_the_picture_and_mirroring_commutes(h: int, w: int, height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(50, 200, (h, w, 3)).astype(np.uint8)
    resized = resize_area(image, height, width)
    assert image.min() <= resized.min() <= resized.max() <= image.max()
    mirrored = resize_area(np.ascontiguousarray(image[:, ::-1]), height, width)[:, ::-1]
    assert np.abs(resized.astype(int) - mirrored).max() <= 1


def test_model_input_is_rgb_at_the_models_size() -> None:
    blue = np.zeros((50, 60, 3), np.uint8)
    blue[..., 0] = 255
    row = to_input(blue, InputSpec(height=32, width=48))
    assert row.shape == (32, 48, 3)
    assert (row == [0, 0, 255]).all()

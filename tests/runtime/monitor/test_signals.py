"""Signals: what they say of generated pictures, and that both ways to measure them agree."""

from __future__ import annotations

from dataclasses import asdict

import cv2
import numpy as np
import pytest
from made import photo

from dpiqa.runtime.monitor.signals import Meter, NativeMeter, OpenCvMeter


def meters() -> list[Meter]:
    try:
        return [OpenCvMeter(), NativeMeter()]
    except (ImportError, AttributeError):
        return [OpenCvMeter()]


def jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


@pytest.mark.parametrize("meter", meters(), ids=lambda meter: type(meter).__name__)
def test_each_signal_answers_to_its_own_distortion(meter: Meter) -> None:
    frame = photo(360, 640)
    good = meter.measure(frame)
    assert good.difference is None
    assert meter.measure(frame).difference == 0
    assert meter.measure(cv2.GaussianBlur(frame, (0, 0), 3)).focus < 0.3 * good.focus
    assert meter.measure(frame // 4).focus == pytest.approx(good.focus, rel=0.25)
    assert meter.measure(frame // 4).brightness == pytest.approx(good.brightness / 4, abs=0.01)
    assert meter.measure(np.zeros_like(frame)).clipped_low == 1
    assert meter.measure(np.full_like(frame, 255)).clipped_high == 1
    assert meter.measure(frame // 4).contrast == pytest.approx(good.contrast / 4, abs=0.01)
    grain = np.random.default_rng(0).normal(0, 20, (360, 640, 1))
    assert meter.measure(np.clip(frame + grain, 0, 255).astype(np.uint8)).noise > 2 * good.noise
    assert good.blockiness < 0.05
    assert meter.measure(jpeg(frame, 5)).blockiness > 0.3
    assert meter.measure(photo(360, 480)).difference is None  # of another size


@pytest.mark.parametrize("size", [(1080, 1920), (576, 704), (1000, 1777), (1920, 1080), (45, 47), (32, 4000)])
def test_the_native_core_measures_what_opencv_measures(size: tuple[int, int]) -> None:
    native = next((meter for meter in meters() if isinstance(meter, NativeMeter)), None)
    if native is None:
        pytest.skip("needs a native module dpiqa.native that measures, pip install '.[openvino]'")
    opencv = OpenCvMeter()
    for seed in (1, 2):
        frame = photo(*size, seed)
        expected, actual = asdict(opencv.measure(frame)), asdict(native.measure(frame))
        assert (actual.pop("difference") or 0) == pytest.approx(expected.pop("difference") or 0, abs=0.001)
        assert actual.pop("focus") == pytest.approx(expected.pop("focus"), abs=0.01)
        assert actual == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("meter", meters(), ids=lambda meter: type(meter).__name__)
def test_noise_is_not_focus(meter: Meter) -> None:
    frame = cv2.GaussianBlur(photo(270, 480), (0, 0), 1)
    grain = np.random.default_rng(0).normal(0, 20, (270, 480, 1))
    noisy = meter.measure(np.clip(frame + grain, 0, 255).astype(np.uint8))
    assert noisy.noise > 0.07
    assert noisy.focus < 0.5  # the Laplacian of the grain alone is five times that

"""Distortions by the sensor and its exposure."""

from __future__ import annotations

import cv2
import numpy as np

from dpiqa.train.distortions.kinds.base import distortion, from_linear, grid, to_linear, to_uint8

_READ_NOISE = 0.05


@distortion("noise", 0.0015, 0.005, 0.015, 0.045, 0.14)
def sensor_noise(image: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Shot noise, whose variance grows with the light, and read noise; `gain` doubles with each stop of ISO."""
    return from_linear(_expose(to_linear(image), gain, rng))


@distortion("noise", 4, 8, 14, 24, 40)
def line_noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Each row and, half as much, each column has its own offset: a noisy read-out or power supply."""
    rows, columns = rng.normal(size=(image.shape[0], 1, 1)), 0.5 * rng.normal(size=(1, image.shape[1], 1))
    return to_uint8(image + np.float32(deviation) * (rows + columns).astype(np.float32))


@distortion("noise", 0.0005, 0.002, 0.006, 0.018, 0.05)
def dead_pixels(image: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A fraction of the pixels is black, white or a pure colour, and stains its neighbours in demosaicing."""
    order, colours = rng.random(image.shape[:2], np.float32), rng.integers(0, 2, image.shape).astype(np.uint8)
    dead = (order <= max(fraction, float(order.min()))).astype(np.float32)
    stain = np.minimum(cv2.GaussianBlur(dead, (3, 3), 0.5) * 1.6, 1)[..., None]
    spread = cv2.dilate(colours * dead[..., None].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    return to_uint8(image + stain * (255 * spread - image))


@distortion("exposure_low", 0.45, 0.2, 0.075, 0.02, 0.003)
def underexposure(image: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Too little light, in the end almost none: from a small sensor's noise to the smooth dark that hides it."""
    return from_linear(_expose(to_linear(image) * np.float32(gain), 10 ** rng.uniform(-7.5, -3.5), rng))


@distortion("exposure_low", (0.6, 0.0015), (0.36, 0.004), (0.2, 0.009), (0.11, 0.016), (0.05, 0.026))
def infrared_night(image: np.ndarray, strength: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A camera at night: no colour, an infrared lamp of decreasing reach, the noise of a high gain."""
    light, gain = strength
    x, y = grid(image)
    distance = np.hypot(x - rng.uniform(-0.25, 0.25), y - rng.uniform(-0.25, 0.25))
    lamp = light * (0.3 + 1.6 * np.exp(-((distance / 0.75) ** 2)))
    grey = to_linear(image) @ np.array([0.2, 0.45, 0.35], np.float32)
    return cv2.merge([from_linear(_expose((grey * lamp)[..., None].astype(np.float32), gain, rng))] * 3)


@distortion("exposure_high", 1.6, 2.4, 3.8, 6.5, 13.0)
def overexposure(image: np.ndarray, gain: float, _: np.random.Generator) -> np.ndarray:
    """Too much light: values above the sensor's range clip."""
    return from_linear(to_linear(image) * np.float32(gain))


@distortion("transmission", 0.14, 0.26, 0.4, 0.58, 0.8)
def rolling_stripes(image: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Mains hum on the line, or a flickering lamp under a rolling shutter: horizontal bars, darker by up to `depth`."""
    bars, phase = rng.uniform(2.5, 7), rng.uniform(0, 2 * np.pi)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * bars * np.linspace(0, 1, image.shape[0], dtype=np.float32) + phase)
    return to_uint8(image * (1 - depth * wave)[:, None, None].astype(np.float32))


def _expose(light: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Light, float32 0 to 1 `[h, w, c]`, as a sensor at `gain` sees it after demosaicing, which spreads the noise."""
    grain = cv2.GaussianBlur(rng.standard_normal(light.shape, np.float32), (3, 3), 0.6).reshape(light.shape)
    return light + np.sqrt(gain * light + _READ_NOISE * gain**2) * 1.4 * grain

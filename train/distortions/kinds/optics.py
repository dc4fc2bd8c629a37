"""Distortions by the lens and by camera motion: focus, motion, aberration, flare."""

from __future__ import annotations

import cv2
import numpy as np

from dpiqa.train.distortions.kinds.base import distortion, from_linear, grid, to_linear, unit

_FINE = 4


@distortion("blur", 1.2, 2.2, 3.6, 6.0, 10.0)
def defocus(image: np.ndarray, radius: float, _: np.random.Generator) -> np.ndarray:
    """A disc of confusion, `radius` in pixels; light is averaged, so bright points become discs."""
    reach = radius * unit(image)
    side = 2 * int(np.ceil(reach)) + 1
    fine = np.arange(side * _FINE) - (side * _FINE - 1) / 2
    disc = (np.hypot(fine[:, None], fine[None]) <= max(reach, 0.5) * _FINE).astype(np.float32)
    kernel = disc.reshape(side, _FINE, side, _FINE).mean((1, 3))
    return _convolve(image, kernel)


@distortion("motion", 4, 8, 14, 24, 40)
def motion_blur(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """The camera or the scene moves in a straight line while the shutter is open, by `length` pixels."""
    angle = rng.uniform(0, np.pi)
    along = np.linspace(-0.5, 0.5, 200)
    return _convolve(image, _trail(along * np.cos(angle), along * np.sin(angle), length * unit(image)))


@distortion("motion", 6, 11, 18, 30, 48)
def camera_shake(image: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """The camera shakes while the shutter is open, on a smooth random path at most `length` pixels across."""
    path = cv2.GaussianBlur(np.cumsum(rng.normal(size=(2, 200)), 1), (0, 0), 8, sigmaY=1e-3)
    path -= (path.max(1, keepdims=True) + path.min(1, keepdims=True)) / 2
    x, y = path / np.ptp(path, 1).max()
    return _convolve(image, _trail(x, y, length * unit(image)))


@distortion("colour", 1.5, 3, 5, 8, 13)
def chromatic_aberration(image: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Red and blue are magnified apart, by `shift` pixels at the edge of the picture, around an axis off the centre."""
    height, width = image.shape[:2]
    axis = np.array([width, height]) * (0.5 + rng.uniform(-0.1, 0.1, 2))
    channels = list(cv2.split(image))
    for channel, sign in ((0, 1), (2, -1)):
        scale = 1 + sign * shift * unit(image) / (max(height, width) / 2)
        matrix = np.array([[scale, 0, axis[0] * (1 - scale)], [0, scale, axis[1] * (1 - scale)]])
        channels[channel] = cv2.warpAffine(channels[channel], matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return cv2.merge(channels)


@distortion("exposure_high", 0.35, 0.6, 1.0, 1.7, 3.0)
def glare(image: np.ndarray, power: float, rng: np.random.Generator) -> np.ndarray:
    """A lamp or the sun shines into the lens: a clipped core, a wide veil around it."""
    x, y = grid(image)
    distance = np.hypot(x - rng.uniform(-0.8, 0.8), y - rng.uniform(-0.8, 0.3))
    tint = np.array([0.85, 0.95, 1.0], np.float32)
    veil = power * (2.0 * np.exp(-((distance / 0.12) ** 2)) + 0.5 * np.exp(-distance / 0.45))
    return from_linear(to_linear(image) + veil[..., None].astype(np.float32) * tint)


def _convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    kernel = (kernel / kernel.sum()).astype(np.float32)
    return from_linear(cv2.filter2D(to_linear(image), -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def _trail(x: np.ndarray, y: np.ndarray, length: float) -> np.ndarray:
    """The kernel that a path, `[n]` steps of -0.5 to 0.5 each way, draws when it is `length` pixels long."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    column, row = x * length + half, y * length + half
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    for across, down in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - np.abs(column - left - across)) * (1 - np.abs(row - top - down))
        np.add.at(kernel, (top + down, left + across), weight)
    return kernel

"""Obstructions between the scene and the sensor: dirt, water, an object, the lens hood."""

from __future__ import annotations

import cv2
import numpy as np

from dpiqa.train.distortions.kinds.base import blend, distortion, grid, unit

_COARSE = 128


@distortion("obstruction", 0.3, 0.6, 1.1, 2.0, 3.6)
def vignetting(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Corners go dark, as under a lens hood that is too long, around a slightly displaced centre."""
    x, y = grid(image)
    reach = np.hypot(*image.shape[:2]) / min(image.shape[:2])
    distance = np.hypot(x - rng.uniform(-0.1, 0.1), y - rng.uniform(-0.1, 0.1)) / reach
    return blend(image, 0.0, 1 - 1 / (1 + strength * (1.3 * distance) ** 3) ** 2)


@distortion("obstruction", (6, 0.3), (12, 0.42), (20, 0.55), (32, 0.68), (50, 0.82))
def lens_dirt(image: np.ndarray, strength: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    """Dust and smears on the front lens, far out of focus: `count` spots of `opacity` that dim and veil."""
    count, opacity = strength
    share = np.zeros((_COARSE, _COARSE), np.float32)
    for place, size, turn, weight in _draws(rng, (2, 2, 1, 1))[:count]:
        spot = np.zeros_like(share)
        axes = (_COARSE * (0.015 + 0.07 * size**2)).astype(int) + 1
        cv2.ellipse(spot, (place * _COARSE).astype(int).tolist(), axes.tolist(), 180 * turn[0], 0, 360, 1.0, -1)
        share = np.maximum(share, (0.6 + 0.4 * float(weight[0])) * cv2.GaussianBlur(spot, (0, 0), 1.0 + axes.min() / 3))
    share = cv2.resize(share * opacity, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    veiled = cv2.GaussianBlur(image, (0, 0), max(8 * unit(image), 0.6)).astype(np.float32)
    mud = 0.35 * veiled + 0.65 * np.array([62, 74, 82], np.float32)
    return blend(image, mud, share)


@distortion("obstruction", 3, 8, 16, 28, 46)
def water_drops(image: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rain on the front lens or the dome: each drop shows the scene small, upside down and blurred."""
    height, width = image.shape[:2]
    side = min(height, width)
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(width), np.arange(height)))
    share, shade = np.zeros((height, width), np.float32), np.ones((height, width), np.float32)
    for place, size in _draws(rng, (2, 1))[:count]:
        radius = side * (0.03 + 0.07 * float(size[0]) ** 2)
        centre_x, centre_y = place[0] * width, place[1] * height
        top, bottom = (int(np.clip(centre_y + sign * radius * 1.2, 0, height)) for sign in (-1, 1))
        left, right = (int(np.clip(centre_x + sign * radius * 1.2, 0, width)) for sign in (-1, 1))
        box = np.s_[top:bottom, left:right]
        rows, columns = np.mgrid[box].astype(np.float32)
        across, down = (columns - centre_x) / radius, (rows - centre_y) / radius * 0.9
        distance = np.hypot(across, down)
        inside = distance < 1
        x[box][inside] = (centre_x - across * radius * 4)[inside]
        y[box][inside] = (centre_y - down * radius * 4)[inside]
        shade[box][inside] = (0.95 + 0.35 * down - 0.45 * distance**6)[inside]
        share[box] = np.maximum(share[box], np.clip((1 - distance) * 6, 0, 1))
    blurred = cv2.GaussianBlur(image, (0, 0), max(2.5 * unit(image), 0.6))
    refracted = cv2.remap(blurred, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return blend(image, refracted * shade[..., None], share)


@distortion("obstruction", 0.06, 0.14, 0.26, 0.42, 0.64)
def covered(image: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A leaf, a cobweb or a hand in front of the lens, out of focus: covers `fraction` of the picture from one side."""
    x, y = grid(image)
    angle, wave, phase = rng.uniform(0, 2 * np.pi), rng.uniform(2, 5), rng.uniform(0, 2 * np.pi)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    edge = across + 0.12 * np.sin(wave * along + phase)
    depth = np.clip((edge - np.quantile(edge[::4, ::4], 1 - fraction)) / 0.07, -9, 9)
    colour = rng.uniform(15, 80) + rng.uniform(-12, 12, 3).astype(np.float32)
    return blend(image, colour, 0.96 / (1 + np.exp(-3 * depth)))


def _draws(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[tuple[np.ndarray, ...]]:
    """Random numbers in 0 to 1 for fifty spots; the first ones do not depend on how many are used."""
    return [tuple(rng.random(size) for size in sizes) for _ in range(50)]

"""Distortions of tone and colour: contrast, haze, white balance, saturation, sharpening."""

from __future__ import annotations

import cv2
import numpy as np

from dpiqa.train.distortions.kinds.base import blend, distortion, to_uint8, unit

_GREY_BGR = np.array([0.114, 0.587, 0.299], np.float32)


@distortion("contrast", 0.72, 0.52, 0.36, 0.23, 0.12)
def low_contrast(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """All values move towards one grey until `factor` of their range is left."""
    middle = rng.uniform(100, 150)
    return to_uint8(middle + np.float32(factor) * (image.astype(np.float32) - middle))


@distortion("contrast", 0.3, 0.6, 1.0, 1.6, 2.6)
def haze(image: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    """Fog or smoke, uneven and thicker towards the top, where the scene is distant (Koschmieder's law)."""
    height, width = image.shape[:2]
    clouds = cv2.resize(rng.random((5, 5), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    depth = 0.55 + 0.5 * np.linspace(1, 0, height, dtype=np.float32)[:, None] + 0.4 * (clouds - 0.5)
    airlight = rng.uniform(195, 230) + np.array([6, 2, 0], np.float32)
    return blend(image, airlight, 1 - np.exp(-density * np.maximum(depth, 0.1)))


@distortion("contrast", 1.5, 2.6, 4.2, 6.5, 10.0)
def oversharpening(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Too much unsharp masking: halos along edges, coarse grain."""
    pixels = image.astype(np.float32)
    return to_uint8(pixels + amount * (pixels - cv2.GaussianBlur(pixels, (0, 0), max(1.4 * unit(image), 0.6))))


@distortion("colour", 0.14, 0.26, 0.42, 0.62, 0.9)
def colour_cast(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A wrong white balance towards any hue; `strength` is the spread of the channels' gains as logarithms."""
    hue = rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
    gains = np.exp(strength * np.cos(hue)).astype(np.float32)
    return to_uint8(image * (gains / (_GREY_BGR * gains).sum()))


@distortion("colour", 0.62, 0.42, 0.25, 0.1, 0.0)
def desaturation(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """Colours fade; at the last level none is left."""
    return _saturate(image, factor)


@distortion("colour", 1.5, 2.0, 2.8, 4.2, 7.0)
def oversaturation(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """Colours glow and clip."""
    return _saturate(image, factor)


def _saturate(image: np.ndarray, factor: float) -> np.ndarray:
    grey = (image @ _GREY_BGR)[..., None]
    return to_uint8(grey + np.float32(factor) * (image - grey))

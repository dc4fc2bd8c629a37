"""The one rule for a frame in which there is nothing to see: black, white, or one colour within its noise.

A frame is void when, in each of its channels, both hold, in levels of 0 to 255:

- the means of patches differ by at most 6.5 + 1.5 s, a patch being a 60th of the longer side squared;
- the pixels of the frame, shrunk to a longest side of 480, differ by at most 24 + 10 s;

where s is the standard deviation of the noise in the shrunk frame (Immerkaer's estimate), which must be 12 at most, and
48 in the middle of the frame as it is: more than that is seen, as snow. So a clock of a few letters on black is
something to see, and so are a night with one lit window, fog in which the ground is a little darker than the sky, and a
fine pattern; grain on a covered lens is not.
A void frame is `black` up to a mean luma of 24 (black of limited range is 16, and noise is cut off below it), `white`
from 232 (white of limited range is 235), else `flat`.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Void = Literal["black", "white", "flat"]

LONGEST_SIDE, PATCH = 480, 8
PATCH_LEVELS, PATCH_NOISE = 6.5, 1.5
PIXEL_LEVELS, PIXEL_NOISE = 24.0, 10.0
MOST_NOISE, MOST_NOISE_UNSHRUNK = 12.0, 48.0
BLACK_TO, WHITE_FROM = 24.0, 232.0

_CLEAR = 48.0  # levels between a few patches: far beyond the rule, so that most frames need no more
_CROP = 256
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def void_of(*planes: NDArray[Any]) -> Void | None:
    """Which void a frame is, None where it shows something.

    `planes` are uint8: one of BGR `[h, w, 3]` or grey `[h, w]` with both sides 32 or more, or Y, U and V `[h, w]` in
    their own sizes; the name is that of the first.
    """
    if any(_clearly_shows(plane) for plane in planes):
        return None
    channels = [_channels(_shrunk(plane)) for plane in planes]
    if not all(_is_flat(channel) for plane in channels for channel in plane):
        return None
    if any(_noise(channel) > MOST_NOISE_UNSHRUNK for plane in planes for channel in _channels(_middle(plane))):
        return None
    means = [float(channel.mean()) for channel in channels[0]]
    luma = means[0] if len(means) == 1 else 0.114 * means[0] + 0.587 * means[1] + 0.299 * means[2]
    return "black" if luma <= BLACK_TO else "white" if luma >= WHITE_FROM else "flat"


def _clearly_shows(frame: NDArray[Any]) -> bool:
    height, width = frame.shape[:2]
    side = max(PATCH, max(height, width) * PATCH // LONGEST_SIDE)
    rows = [round(place * max(0, height - side) / 4) for place in range(5)]
    columns = [round(place * max(0, width - side) / 4) for place in range(5)]
    means = [cv2.mean(frame[row : row + side, column : column + side]) for row in rows for column in columns]
    return float(np.ptp(np.array(means), axis=0).max()) > _CLEAR


def _channels(frame: NDArray[Any]) -> list[NDArray[np.float32]]:
    return [np.asarray(channel, np.float32) for channel in cv2.split(frame)]


def _middle(frame: NDArray[Any]) -> NDArray[Any]:
    height, width = (max(0, (side - _CROP) // 2) for side in frame.shape[:2])
    return frame[height : height + _CROP, width : width + _CROP]


def _shrunk(frame: NDArray[Any]) -> NDArray[Any]:
    height, width = frame.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return frame
    size = (max(PATCH, round(width * scale)), max(PATCH, round(height * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _is_flat(channel: NDArray[np.float32]) -> bool:
    noise = _noise(channel)
    if noise > MOST_NOISE or float(np.ptp(channel)) > PIXEL_LEVELS + PIXEL_NOISE * noise:
        return False
    height, width = channel.shape
    patches = (max(1, width // PATCH), max(1, height // PATCH))
    means = cv2.resize(channel, patches, interpolation=cv2.INTER_AREA)
    return float(np.ptp(means)) <= PATCH_LEVELS + PATCH_NOISE * noise


def _noise(channel: NDArray[np.float32]) -> float:
    differences = np.abs(cv2.filter2D(channel, cv2.CV_32F, _IMMERKAER)[1:-1, 1:-1])
    return float(np.sqrt(np.pi / 2) / 6 * differences.mean())

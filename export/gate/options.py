"""The requirements of a gate."""

from __future__ import annotations

from dataclasses import dataclass

MIN_CALIBRATION = 256
SOURCES = "a folder of pictures, a video, FILE.npy of frames, or NAME=PATH of a rated data set (its training part)"
MIN_PICTURES = 500


@dataclass(frozen=True)
class Budget:
    """What a candidate may lose, in SRCC and in points, measured on at least `pictures` pictures."""

    srcc_drop: float = 0.003
    drift: float = 5.0
    mean_drift: float = 0.5
    pictures: int = MIN_PICTURES

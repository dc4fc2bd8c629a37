"""A contact sheet: one HTML file with a thumbnail, the causes and the map of everything that was scored."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.preprocess import resize_area
from dpiqa.runtime.reading import MIN_CAUSE, printable
from dpiqa.runtime.scorer import Explanation

THUMB_SIDE, THUMB_QUALITY = 144, 60  # 5,000 pictures stay under 25 MB
MAP_SIDE = 12
_SMALLEST = 8
_PLACE = "/* entries */[]"


class Sheet:
    """Collects what is scored, about 4 kB each, and writes the page."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(self, explanation: Explanation, score: float) -> None:
        """Add a picture, or a video by its worst frame; `score` is the file's, 0 to 100."""
        reading = explanation.reading
        causes = sorted(reading.causes.items(), key=lambda item: -item[1])[:3]
        causes = [(name, strength) for name, strength in causes if strength >= MIN_CAUSE]
        self._entries.append(
            {
                "name": printable(reading.source),
                "score": round(score, 1),
                "void": reading.void,
                "at": None if reading.pts_s is None else round(reading.pts_s, 2),
                "causes": [[name, round(strength, 2)] for name, strength in causes],
                "map": None if explanation.map is None else _small_map(explanation.map),
                "thumb": _thumb(explanation.pixels),
            }
        )

    def write(self, file: BinaryIO) -> None:
        """Write the page, worst first; it asks nothing of any other file or address."""
        entries = sorted(self._entries, key=lambda entry: entry["score"])
        data = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        page = files("dpiqa.runtime.sheet").joinpath("sheet.html").read_text("utf-8")
        file.write(page.replace(_PLACE, data, 1).encode("utf-8", "backslashreplace"))


def _thumb(pixels: NDArray[np.uint8]) -> str:
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMB_SIDE / max(height, width))
    small = resize_area(pixels, max(_SMALLEST, round(height * scale)), max(_SMALLEST, round(width * scale)))
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY])[1]
    return base64.b64encode(coded.tobytes()).decode()


def _small_map(quality: NDArray[np.float32]) -> str:
    small = cv2.resize(quality, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
    return base64.b64encode(np.clip(np.rint(small), 0, 100).astype(np.uint8).tobytes()).decode()

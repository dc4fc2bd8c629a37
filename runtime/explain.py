"""A picture that says why: the frame as it is and with its poor parts marked, score and causes beside it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.plot import BAND_BGR
from dpiqa.runtime.preprocess import resize_area
from dpiqa.runtime.reading import BANDS, printable
from dpiqa.runtime.scorer import Explanation, Scorer

_LONGER_SIDE, _PANEL_WIDTH = 640, 300
_MARGIN, _TOP, _LINE = 20, 150, 34
_GAP = 6  # between the two frames
_TINT, _UNTINTED = 0.8, 80  # the map's share of the colours where it is 0; from where on the frame stays as it is
_LEAST_AREA = 0.001  # of the frame, for a line around it
_INK, _FAINT = (60, 60, 60), (225, 225, 225)

Picture = NDArray[np.uint8]


class Explainer:
    """Writes one PNG for each explanation into a folder, named after its source.

    Raises InputError for a model that names no causes and draws no map.
    """

    def __init__(self, folder: Path, scorer: Scorer) -> None:
        blank = np.zeros((1, scorer.spec.input.height, scorer.spec.input.width, 3), np.uint8)
        (prediction,) = scorer.engine.infer(blank)
        if prediction.causes is None and prediction.map is None:
            raise InputError(f"--explain {folder}: the model {scorer.spec.name} names no causes and draws no map")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError(f"--explain {folder}: is a file, name a folder") from None
        self._folder = folder
        self._written: set[str] = set()

    def write(self, explanation: Explanation) -> None:
        """Write an explanation's picture; a source of the same name as one before gets a number."""
        name = plain = Path(printable(explanation.reading.source)).name
        number = 1
        while name in self._written:
            number += 1
            name = f"{plain}-{number}"
        self._written.add(name)
        with atomic_write(self._folder / f"{name}.png") as file:
            file.write(cv2.imencode(".png", draw(explanation))[1].tobytes())


def draw(explanation: Explanation) -> Picture:
    """Draw an explanation, uint8 `[h, w, 3]` in BGR; its frame's longer side is brought to 640 pixels at most."""
    frame = _fitted(explanation.pixels)
    frames = [frame] if explanation.map is None else [frame, _marked(frame, explanation.map)]
    below = len(frames) > 1 and frame.shape[1] > frame.shape[0]
    if len(frames) > 1:
        gap = np.full((_GAP, frame.shape[1], 3) if below else (len(frame), _GAP, 3), 255, np.uint8)
        frames.insert(1, gap)
    both = np.vstack(frames) if below else np.hstack(frames)
    panel = _panel(explanation, max(_TOP + _LINE * (len(explanation.reading.causes) + 2), len(both)))
    canvas = np.full((len(panel), both.shape[1], 3), 255, np.uint8)
    canvas[: len(both)] = both
    return np.hstack([canvas, panel])


def _fitted(pixels: Picture) -> Picture:
    height, width = pixels.shape[:2]
    scale = min(1.0, _LONGER_SIDE / max(height, width))
    return resize_area(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def _marked(frame: Picture, quality: NDArray[np.float32]) -> Picture:
    """Tinted the more, the lower the quality, with a line around what is fair, poor or bad."""
    height, width = frame.shape[:2]
    soft = cv2.GaussianBlur(quality.astype(np.float32), (0, 0), 1)
    smooth = np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    marked = _tinted(frame, smooth)
    for top, name in BANDS[:3]:
        below = (smooth < top).astype(np.uint8)
        outlines, _ = cv2.findContours(below, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        large = [outline for outline in outlines if cv2.contourArea(outline) > _LEAST_AREA * smooth.size]
        cv2.drawContours(marked, large, -1, BAND_BGR[name], 2, cv2.LINE_AA)
    return marked


def _tinted(pixels: Picture, quality: NDArray[np.float32]) -> Picture:
    """`pixels` `[h, w, 3]` under the colours of `quality` `[h, w]`."""
    share = _TINT * np.clip(1 - quality / _UNTINTED, 0, 1)[..., None]
    colours = _COLOURS[np.clip(np.rint(quality), 0, 100).astype(np.uint8)]
    return np.rint(share * colours + (1 - share) * pixels).astype(np.uint8)


def _panel(explanation: Explanation, height: int) -> Picture:
    reading = explanation.reading
    panel = np.full((height, _PANEL_WIDTH, 3), 255, np.uint8)
    _text(panel, f"{reading.score:.1f}", 52, 1.4, BAND_BGR[reading.band], 3)
    _text(panel, f"{reading.void}, nothing to see" if reading.void else reading.band, 84, 0.6)
    if reading.pts_s is not None:
        _text(panel, f"the worst frame, at {reading.pts_s:.2f} s", 110, 0.45)
    top = _TOP
    right = _PANEL_WIDTH - _MARGIN
    for cause, strength in sorted(reading.causes.items(), key=lambda item: -item[1]):
        _text(panel, f"{cause.replace('_', ' ')}  {strength:.0%}", top, 0.45)
        end = round(_MARGIN + strength * (right - _MARGIN))
        cv2.rectangle(panel, (_MARGIN, top + 6), (right, top + 12), _FAINT, cv2.FILLED)
        cv2.rectangle(panel, (_MARGIN, top + 6), (end, top + 12), _INK, cv2.FILLED)
        top += _LINE
    if explanation.map is not None:
        scale = np.linspace(0, 100, right - _MARGIN, dtype=np.float32)[None].repeat(10, 0)
        panel[height - 40 : height - 30, _MARGIN:right] = _tinted(np.full((*scale.shape, 3), 225, np.uint8), scale)
        _text(panel, "bad", height - 14, 0.4)
        (width, _), _ = cv2.getTextSize("excellent", cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
        _text(panel, "excellent", height - 14, 0.4, left=right - width)
    return panel


def _text(
    panel: Picture,
    text: str,
    baseline: int,
    size: float,
    colour: tuple[int, int, int] = _INK,
    thickness: int = 1,
    left: int = _MARGIN,
) -> None:
    cv2.putText(panel, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)


def _colour_scale() -> Picture:
    """A colour for every score from 0 to 100, `[101, 3]` in BGR: the bands' colours, flowing into each other."""
    middles = [top - 10 for top, _ in BANDS]
    colours = np.array([BAND_BGR[name] for _, name in BANDS], float)
    channels = [np.interp(np.arange(101), middles, channel) for channel in colours.T]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


_COLOURS = _colour_scale()

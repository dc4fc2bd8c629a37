"""How often are there alarms when nothing is wrong? Plays hours of calm and of busy scenes, made from photographs.

usage: false_alarms.py PICTURES [--kinds calm busy] [--hours 2] [--scenes 6] [--model NAME] [--seed 0] [--csv FILE]

PICTURES is a folder of photographs, such as BIQ2021's Images/. A scene is one of them behind a sensor's grain, with
clouds that change its light by up to a fifth over minutes; in a busy one, parts of other photographs go by, up to 80 %
of the picture wide, every 12 s on average, within 1.5 to 6 s. The clips are H.264, a frame a second, and every frame is
scored by the model; only the time between two frames is not waited for. Each scene has its own baseline, learnt anew.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from alarms import play
from measured_on import measured_on

KINDS = ("calm", "busy")
WIDTH, HEIGHT = 480, 270
_GRAIN_LEVELS, _CLOUD, _CLOUD_S = 3.0, 0.2, 400.0
_EVERY_S, _PASSING_S = 12.0, (1.5, 6.0)
_WIDTHS, _HEIGHTS = (0.08, 0.8), (0.2, 0.6)  # of what goes by, as a share of the picture
Frame = np.ndarray


def photo(file: Path) -> Frame:
    """A photograph, cut to the shape of the scene; float32."""
    picture = cv2.imread(str(file))
    if picture is None:
        raise SystemExit(f"{file}: not a picture")
    scale = max(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return picture[:HEIGHT, :WIDTH].astype(np.float32)


class Passing:
    """Something that goes by from one side to the other."""

    def __init__(self, began_s: float, source: Frame, rng: np.random.Generator) -> None:
        self.began_s, self.lasts_s = began_s, rng.uniform(*_PASSING_S)
        width, height = (int(size * rng.uniform(*part)) for size, part in ((WIDTH, _WIDTHS), (HEIGHT, _HEIGHTS)))
        left, top = rng.integers(WIDTH - width + 1), rng.integers(HEIGHT - height + 1)
        self._look = source[top : top + height, left : left + width]
        self._top, self._is_leftward = int(rng.integers(HEIGHT // 3, HEIGHT - height + 1)), rng.random() < 0.5

    def draw(self, frame: Frame, at_s: float) -> None:
        """Draw it into a frame."""
        height, width = self._look.shape[:2]
        share = (at_s - self.began_s) / self.lasts_s
        x = round((1 - share if self._is_leftward else share) * (WIDTH + width)) - width
        left, right = max(0, x), min(WIDTH, x + width)
        if right > left:
            frame[self._top : self._top + height, left:right] = self._look[:, left - x : right - x]


def scene(still: Frame, others: list[Frame], length_s: int, rng: np.random.Generator) -> Iterator[Frame]:
    """Frames of a scene, one a second; busy if there are `others`."""
    phase, passing, due_s = rng.uniform(0, 2 * np.pi), [], rng.exponential(_EVERY_S)
    for at_s in range(length_s):
        frame = still.copy()
        while others and due_s <= at_s:
            passing.append(Passing(due_s, others[rng.integers(len(others))], rng))
            due_s += rng.exponential(_EVERY_S)
        passing = [one for one in passing if at_s < one.began_s + one.lasts_s]
        for one in passing:
            one.draw(frame, at_s)
        light = 1 + _CLOUD / 2 * np.sin(2 * np.pi * at_s / _CLOUD_S + phase)
        grain = rng.standard_normal(frame.shape, np.float32) * np.float32(_GRAIN_LEVELS)
        yield np.clip(frame * np.float32(light) + grain, 0, 255).astype(np.uint8)


def write(file: Path, frames: Iterator[Frame]) -> None:
    """Write H.264, a frame a second, a key frame every 20."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "crf": "20", "g": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Print a line for each scene, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--hours", type=float, default=2.0, help="of calm, and of busy scenes")
    parser.add_argument("--scenes", type=int, default=6, help="of each kind")
    parser.add_argument("--model", default="dpiqa-lite0-int8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    files = sorted(options.pictures.glob("*.jpg"))
    length_s = round(options.hours * 3600 / options.scenes)
    what = f"{options.model}, 1 score/s, seed {options.seed}; {measured_on('openvino')}"
    rows: list[tuple[object, ...]] = [("scenes", "picture", "hours", "readings", "false alarms", "of")]
    for kind in options.kinds:
        rng = np.random.default_rng(options.seed + KINDS.index(kind))
        hours, count = 0.0, 0
        for _ in range(options.scenes):
            picks = [files[number] for number in rng.choice(len(files), 9, replace=False)]
            still, *others = map(photo, picks)
            with TemporaryDirectory() as folder:
                clip = Path(folder, "scene.mp4")
                write(clip, scene(still, others if kind == "busy" else [], length_s, rng))
                events, lasted_s, _ = play(clip, options.model, 1.0, Path(folder))
            hours, count = hours + lasted_s / 3600, count + len(events)
            alarms = "; ".join(f"{one.kind} {one.raised_s:g} to {one.ended_s} s" for one in events) or "0"
            rows.append((kind, picks[0].name, round(lasted_s / 3600, 3), round(lasted_s), alarms, what))
            print(*rows[-1][:-1], sep=" | ", flush=True)
        rows.append((kind, "all", round(hours, 3), round(hours * 3600), count, what))
        print(*rows[-1][:-1], sep=" | ", flush=True)
    if options.csv is not None:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()

"""Pictures for calibration and comparison: from a folder, a video, an array or a rated data set; no default.

For a model of several shapes they take turns: each is cut in the middle to the aspect of its shape, so that every shape
gets as many, whatever the source holds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.sources import VIDEO_SUFFIXES, expand, is_video
from dpiqa.runtime.spec import InputSpec
from dpiqa.runtime.video import announced_duration_s, read_video
from dpiqa.train.data.datasets import load, parse_source
from dpiqa.train.data.options import AUTO
from dpiqa.train.data.splits import resolve, split

Frames = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Frames as a model takes them, uint8 RGB `[N, H, W, 3]` or, of several shapes, `[H, W, 3]` each.

    With their names, and their MOS (0 to 100) if rated.
    """

    frames: Frames
    names: tuple[str, ...]
    mos: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, part: slice) -> Pictures:
        return Pictures(self.frames[part], self.names[part], None if self.mos is None else self.mos[part])

    @property
    def sha256(self) -> str:
        """SHA-256 of all frames in order: the same pictures have the same hash anywhere."""
        digest = hashlib.sha256()
        for frame in self.frames:
            digest.update(np.ascontiguousarray(frame).data)
        return digest.hexdigest()

    @property
    def shapes(self) -> tuple[str, ...] | None:
        """The shape of each, `HxW`, where there are several; else None."""
        if isinstance(self.frames, np.ndarray):
            return None
        return tuple(f"{frame.shape[0]}x{frame.shape[1]}" for frame in self.frames)


def read_pictures(text: str, spec: InputSpec, count: int, seed: int, without: frozenset[str] = frozenset()) -> Pictures:
    """Choose up to `count` pictures from the source `text` (see SOURCES), in an order that depends on `seed` alone.

    Frames of a video are evenly spaced. Files whose name is in `without` are left out, in a rated data set with their
    whole group. Raises InputError with the name of a file that cannot be read.
    """
    if "=" in text and not Path(text).exists():
        return _rated(text, spec, count, seed, without)
    path = Path(text)
    if path.suffix.lower() == ".npy":
        return _array(path, spec, count, seed)
    if path.is_file() and (path.suffix.lower() in VIDEO_SUFFIXES or is_video(text)):
        return _video(text, spec, count, seed)
    files = [file for file in expand(text) if not is_video(file) and Path(file).name not in without]
    random.Random(seed).shuffle(files)
    return Pictures(_read(files[:count], spec), tuple(files[:count]))


def enough(pictures: Pictures, text: str, minimum: int) -> Pictures:
    """The same pictures; InputError when they are too few to calibrate on."""
    if len(pictures) < minimum:
        raise InputError(
            f"{text}: {len(pictures)} pictures, calibration needs at least {minimum} (--allow-few takes what is there)"
        )
    return pictures


def _rated(text: str, spec: InputSpec, count: int, seed: int, without: frozenset[str]) -> Pictures:
    name, path = parse_source(text)
    everything = load(name, path)
    samples = split(everything, resolve(AUTO, everything)).train
    left_out = {sample.group for sample in samples if sample.path.name in without}
    samples = [sample for sample in samples if sample.group not in left_out]
    random.Random(seed).shuffle(samples)
    files = [str(sample.path) for sample in samples[:count]]
    return Pictures(_read(files, spec), tuple(files), np.array([sample.mos for sample in samples[:count]]))


def _array(path: Path, spec: InputSpec, count: int, seed: int) -> Pictures:
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, EOFError):
        raise InputError(f"{path}: not an array written by numpy.save, or truncated") from None
    if spec.other_shapes:
        raise InputError(f"{path}: holds frames of one shape, the model takes {len(spec.shapes)}; name pictures")
    size = (spec.height, spec.width, 3)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != size:
        actual = f"{frames.dtype} {list(frames.shape)}"
        raise InputError(f"{path}: must hold RGB frames, uint8 [N, {size[0]}, {size[1]}, 3], found {actual}")
    order = list(range(len(frames)))
    random.Random(seed).shuffle(order)
    return Pictures(np.asarray(frames[order[:count]]), tuple(f"{path}[{index}]" for index in order[:count]))


def _video(text: str, spec: InputSpec, count: int, seed: int) -> Pictures:
    duration_s = announced_duration_s(text)
    samples = [
        (f"{text}[{frame.index}]", _frame(frame.pixels, spec, place))
        for place, frame in enumerate(read_video(text, count / duration_s if duration_s else None))
    ]
    random.Random(seed).shuffle(samples)
    names, frames = zip(*samples[:count], strict=True)
    return Pictures(_together(list(frames), spec), names)


def _read(files: list[str], spec: InputSpec) -> Frames:
    return _together([_frame(read_picture(file), spec, place) for place, file in enumerate(files)], spec)


def _frame(picture: NDArray[np.uint8], spec: InputSpec, place: int) -> NDArray[np.uint8]:
    """A picture, BGR `[h, w, 3]`, as the model takes it: where it has several shapes, in the one that has its turn."""
    if not spec.other_shapes:
        return to_input(picture, spec)
    shape = spec.shapes[place % len(spec.shapes)]
    rows, columns = picture.shape[:2]
    height, width = min(rows, columns * shape.height // shape.width), min(columns, rows * shape.width // shape.height)
    top, left = (rows - height) // 2, (columns - width) // 2
    return to_input(np.ascontiguousarray(picture[top : top + max(1, height), left : left + max(1, width)]), shape)


def _together(frames: list[NDArray[np.uint8]], spec: InputSpec) -> Frames:
    if spec.other_shapes:
        return frames
    return np.stack(frames) if frames else np.empty((0, spec.height, spec.width, 3), np.uint8)

"""Pictures for calibration and comparison: from a folder, a video, an array or a rated data set; no default."""

from __future__ import annotations

import hashlib
import random
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


@dataclass(frozen=True, eq=False)
class Pictures:
    """Frames as a model takes them, uint8 RGB `[N, H, W, 3]`, their names, and their MOS (0 to 100) if rated."""

    frames: NDArray[np.uint8]
    names: tuple[str, ...]
    mos: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, part: slice) -> Pictures:
        return Pictures(self.frames[part], self.names[part], None if self.mos is None else self.mos[part])

    @property
    def sha256(self) -> str:
        """SHA-256 of all frames in order: the same pictures have the same hash anywhere."""
        return hashlib.sha256(np.ascontiguousarray(self.frames).data).hexdigest()


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
        (f"{text}[{frame.index}]", to_input(frame.pixels, spec))
        for frame in read_video(text, count / duration_s if duration_s else None)
    ]
    random.Random(seed).shuffle(samples)
    names, frames = zip(*samples[:count], strict=True)
    return Pictures(np.stack(frames), names)


def _read(files: list[str], spec: InputSpec) -> NDArray[np.uint8]:
    frames = [to_input(read_picture(file), spec) for file in files]
    return np.stack(frames) if frames else np.empty((0, spec.height, spec.width, 3), np.uint8)

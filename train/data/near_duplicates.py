"""Pictures that look alike, by perceptual hash: at another size, brightness, compression or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from dpiqa.errors import InputError
from dpiqa.runtime.perceptual_hash import Print, differing_bits, perceptual_hash
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.sources import expand, is_video
from dpiqa.train.data.datasets import LOADERS, load

MAX_DISTANCE = 8
MIN_CORRELATION = 0.9


@dataclass(frozen=True)
class Pair:
    """Two pictures that look alike: number of bits by which their hashes differ, correlation of their thumbnails."""

    training: str
    test: str
    distance: int
    correlation: float


def find_pairs(training: dict[str, list[Print]], test: dict[str, Print]) -> Iterator[Pair]:
    """Pairs of names whose pictures look alike; a training picture has one print for itself and one for its mirror."""
    names = list(test)
    hashes = np.array([test[name].hash for name in names], np.uint64)
    for name, prints in training.items():
        distances = np.stack([differing_bits(hashes ^ own.hash) for own in prints])
        for position in np.flatnonzero(distances.min(0) <= MAX_DISTANCE):
            correlation = max(float(own.thumb @ test[names[position]].thumb) for own in prints)
            if correlation >= MIN_CORRELATION:
                yield Pair(name, names[position], int(distances[:, position].min()), round(correlation, 3))


def pictures_of(source: str, training: bool) -> dict[str, str]:
    """Names and files of `NAME=PATH`: any folder, or a rated data set (if `training`, without its test part)."""
    name, separator, path = source.partition("=")
    if not separator or not path:
        raise InputError(f"{source}: expected NAME=PATH, of a rated data set or of any folder of pictures")
    if name in LOADERS:
        samples = [sample for sample in load(name, Path(path)) if not (training and sample.official == "test")]
        return {f"{name}/{sample.path.name}": str(sample.path) for sample in samples}
    if not Path(path).is_dir():
        raise InputError(f"{source}: no such folder")
    return {f"{name}/{Path(file).relative_to(path)}": file for file in expand(path) if not is_video(file)}


def fingerprints(files: dict[str, str], mirrored: bool) -> dict[str, list[Print]]:
    """The prints of pictures by name; with `mirrored` also of their mirror images."""

    def prints(file: str) -> list[Print]:
        image = read_picture(file)
        return [perceptual_hash(view) for view in ([image, np.fliplr(image)] if mirrored else [image])]

    with ThreadPoolExecutor() as pool:
        return dict(zip(files, track(pool.map(prints, files.values()), "hashing", len(files)), strict=True))

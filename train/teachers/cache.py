"""A teacher's scores and quality maps, stored in a folder so that they are computed only once.

`index.csv` lists every picture with the digest of its bytes, `scores.npy` float32 `[n]` holds the scores (NaN: none
yet), `maps.npy` float16 `[n, 8, 64, 64]` the quality maps of whole pictures, and `cache.json` describes the cache. A
rater that is no teacher of ours gives no maps but may say how certain it is: `stds.npy` float32 `[n]`, in points.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_folder
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import digests
from dpiqa.train.data.terms import TrainingData
from dpiqa.train.teachers.decoder import MAP_CHANNELS, MAP_SIDE

MAP_SHAPE = (MAP_CHANNELS, MAP_SIDE, MAP_SIDE)
_COLUMNS = ["source", "image", "part", "sha256"]


class Origin(BaseModel):
    """A source of pictures: a rated data set with its split, or an unlabelled folder without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    split: str | None
    images: int


class Contents(BaseModel):
    """The description of a cache: digests of the teacher's weights and of the index, and the sources of both.

    `input` is None for a rater's scores, which come without maps; `teacher` is then the digest of its table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    teacher: str
    data: str
    input: InputSpec | None
    bf16: bool
    trained_on: tuple[TrainingData, ...]
    origins: tuple[Origin, ...]


class TeacherCache:
    """An open cache; reading a map opens its file each time, so that worker processes can use the cache."""

    def __init__(self, folder: Path) -> None:
        """Open the cache in `folder`; InputError if there is none that can be read."""
        self.folder = folder
        try:
            self.contents = Contents.model_validate_json((folder / "cache.json").read_bytes())
            self.index = pd.read_csv(folder / "index.csv", dtype=str, keep_default_na=False)
            self.scores = np.load(folder / "scores.npy")
            shape, self.stds = (len(self.index), *MAP_SHAPE), np.zeros_like(self.scores)
            if self.has_maps:
                shape = np.load(folder / "maps.npy", mmap_mode="r").shape
            else:
                self.stds = np.load(folder / "stds.npy")
        except FileNotFoundError as error:
            raise InputError(f"{folder}: not a teacher cache, {Path(error.filename).name} is missing") from None
        except (ValidationError, ValueError, EOFError) as error:
            raise InputError(f"{folder}: not a teacher cache of this release ({str(error).splitlines()[0]})") from None
        if shape != (len(self.index), *MAP_SHAPE) or {self.scores.shape, self.stds.shape} != {(len(self.index),)}:
            raise InputError(f"{folder}: a damaged teacher cache, its maps do not match its index; create it again")

    @property
    def has_maps(self) -> bool:
        """Whether the teacher drew quality maps."""
        return self.contents.input is not None

    @staticmethod
    def of_ratings(
        folder: Path, contents: Contents, index: pd.DataFrame, scores: np.ndarray, stds: np.ndarray
    ) -> TeacherCache:
        """Write a whole cache of a rater's scores and standard deviations, float32 `[n]`; InputError if it exists."""
        with atomic_folder(folder) as part:
            np.save(part / "scores.npy", scores)
            np.save(part / "stds.npy", stds)
            index.to_csv(part / "index.csv", index=False)
            (part / "cache.json").write_text(contents.model_dump_json(indent=2) + "\n")
        return TeacherCache(folder)

    @staticmethod
    def create(folder: Path, contents: Contents, index: pd.DataFrame) -> TeacherCache:
        """Create an empty cache; InputError if `folder` exists or the disk has no room for the cache."""
        needed = len(index) * 2 * int(np.prod(MAP_SHAPE))
        with atomic_folder(folder) as part:
            free = shutil.disk_usage(part).free
            if needed > free:
                raise InputError(f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
            np.save(part / "scores.npy", np.full(len(index), np.nan, np.float32))
            np.lib.format.open_memmap(part / "maps.npy", "w+", np.float16, (len(index), *MAP_SHAPE)).flush()
            with (part / "maps.npy").open("r+b") as file:  # a sparse file would be filled when the disk may be full
                os.posix_fallocate(file.fileno(), 0, (part / "maps.npy").stat().st_size)
            index.to_csv(part / "index.csv", index=False)
            (part / "cache.json").write_text(contents.model_dump_json(indent=2) + "\n")
        return TeacherCache(folder)

    def require(self, contents: Contents) -> None:
        """Raise InputError for a cache of another teacher, of other data or in another precision."""
        for field in ("teacher", "data", "bf16"):
            actual, expected = getattr(self.contents, field), getattr(contents, field)
            if actual != expected:
                raise InputError(
                    f"{self.folder}: a cache of another {'precision' if field == 'bf16' else field} "
                    f"({str(actual)[:12]}, this is {str(expected)[:12]}); choose another --out"
                )

    def missing(self) -> np.ndarray:
        """Rows of the pictures without a score."""
        return np.flatnonzero(np.isnan(self.scores))

    def write(self, rows: list[int], scores: np.ndarray, maps: np.ndarray) -> None:
        """Store float32 scores `[N]` and maps `[N, 8, 64, 64]`; a score is written after its map and completes the row.

        InputError for values that are not finite (in float16, a map holds at most 65,504).
        """
        with np.errstate(over="ignore"):
            stored = maps.astype(np.float16)
        bad = ~(np.isfinite(scores) & np.isfinite(stored).all((1, 2, 3)))
        if bad.any():
            image = self.index["image"][rows[int(bad.argmax())]]
            raise InputError(f"{image}: the teacher's score or map is not a finite number, the teacher is broken")
        for name, values in (("maps.npy", stored), ("scores.npy", scores)):
            file = np.load(self.folder / name, mmap_mode="r+")
            file[rows] = values
            file.flush()
        self.scores[rows] = scores

    def map(self, row: int) -> np.ndarray:
        """The teacher's quality map of a whole picture, float32 `[8, 64, 64]`."""
        return np.load(self.folder / "maps.npy", mmap_mode="r")[row].astype(np.float32)

    def map_scale(self, seed: int = 0, images: int = 1000) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each map channel, float32 `[8, 1, 1]`, over a random choice of pictures.

        No deviation is below a hundredth of the largest, so that the noise of an almost constant channel is not taught.
        """
        rows = np.sort(np.random.default_rng(seed).permutation(len(self.index))[:images])
        maps = np.load(self.folder / "maps.npy", mmap_mode="r")[rows].astype(np.float32)
        mean, std = maps.mean((0, 2, 3)), maps.std((0, 2, 3))
        std = np.maximum(std, max(float(std.max()) / 100, 1e-6))
        return mean[:, None, None], std[:, None, None]


def make_index(parts: list[tuple[str, Path, str, list[Path]]]) -> pd.DataFrame:
    """The index of `parts`, each (source, its root, part, pictures)."""
    rows = [(source, relative(path, root), part, path) for source, root, part, paths in parts for path in paths]
    sums = digests([path for *_, path in rows])
    return pd.DataFrame([(*row[:3], digest) for row, digest in zip(rows, sums, strict=True)], columns=_COLUMNS)


def relative(path: Path, root: Path) -> str:
    """A picture's name in the index: its path from the folder of its source (of its table, for `csv`)."""
    return Path(os.path.relpath(path, root.parent if root.is_file() else root)).as_posix()

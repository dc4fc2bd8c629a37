"""Frames for distillation: pictures with the teacher's score and quality map beside the MOS, if they have one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample, digests, load, load_unlabelled
from dpiqa.train.data.frames import RatedFrames, View
from dpiqa.train.teachers.cache import TeacherCache, relative

_UNIT = 10.0  # points, as in loop/losses.py


class TaughtFrames(RatedFrames):
    """uint8 RGB frames `[H, W, 3]`, MOS (NaN if unrated), the teacher's score, its map `[8, h, w]` and its certainty.

    The teacher scored whole pictures. The targets of a crop are the same region of the whole picture's map, mirrored
    with the crop, and (as with MOS) the whole picture's score. Maps are standardised by channel; a rater's are empty,
    `[0]`. The certainty is 1 for a teacher and falls with a rater's standard deviation, to a half at ten points.
    """

    def __init__(self, samples: list[Sample], rows: np.ndarray, cache: TeacherCache, spec: InputSpec,
                 crop: int, seed: int = 0, length: int | None = None) -> None:  # fmt: skip
        """`rows`: of the samples in the cache. `length`: pictures per epoch, drawn in turn; by default all."""
        super().__init__(samples, spec, crop, seed)
        self.rows, self.cache, self.length = rows, cache, length or len(samples)
        self.mean, self.std = cache.map_scale() if cache.has_maps else (np.zeros(1), np.ones(1))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        turn, place = divmod(self.epoch * self.length + index, len(self.samples))
        picture = int(_order(self.seed, turn, len(self.samples))[place])
        frame, view = self.load(picture, index)
        row = self.rows[picture]
        taught_map = torch.empty(0)
        if self.cache.has_maps:
            whole = torch.from_numpy((self.cache.map(row) - self.mean) / self.std)
            taught_map = region(whole, view, len(frame), self.spec)
        certainty = 1 / (1 + (float(self.cache.stds[row]) / _UNIT) ** 2)
        mos, taught = self.samples[picture].mos, float(self.cache.scores[row])
        return frame, torch.tensor(mos), torch.tensor(taught), taught_map, torch.tensor(certainty)


def region(whole: Tensor, view: View, crop: int, spec: InputSpec) -> Tensor:
    """The part of a whole frame's map `[C, h, w]` that belongs to a square crop, at the map's scale."""
    frame = (spec.height, spec.width)
    down, across = (crop / side for side in frame)
    y, x = ((2 * start + crop) / side - 1 for start, side in zip((view.top, view.left), frame, strict=True))
    cells = [len(whole), max(1, round(whole.shape[1] * down)), max(1, round(whole.shape[2] * across))]
    place = torch.tensor([[[-across if view.mirrored else across, 0.0, x], [0.0, down, y]]])
    grid = functional.affine_grid(place, [1, *cells], align_corners=False)
    return functional.grid_sample(whole[None], grid, padding_mode="border", align_corners=False)[0]


def collect_samples(
    cache: TeacherCache, data: list[tuple[str, Path]], unlabelled: list[Path]
) -> tuple[list[Sample], np.ndarray, list[Sample]]:
    """The pictures of a cache from these sources: for training, their rows in the cache, and for validation.

    Raises InputError if the cache is incomplete, lacks a source, or was made from other data.
    """
    missing = len(cache.missing())
    if missing:
        raise InputError(
            f"{cache.folder}: {missing} of {len(cache.index)} pictures have no score yet, run train.teacher_cache again"
        )
    sources = [(name, root, load(name, root)) for name, root in data]
    sources += [(folder.resolve().name, folder, load_unlabelled(folder)) for folder in unlabelled]
    samples: dict[int, Sample] = {}
    for name, root, source in sources:
        samples |= _cached(cache, name, root, source)
    rows = np.array(sorted(samples))
    parts = cache.index["part"].to_numpy(str)[rows]
    training = rows[parts != "val"]
    return [samples[row] for row in training], training, [samples[row] for row in rows[parts == "val"]]


def _cached(cache: TeacherCache, name: str, root: Path, samples: list[Sample]) -> dict[int, Sample]:
    """Every picture of a source that is in the cache, by its row."""
    index = cache.index[cache.index["source"] == name]
    if index.empty:
        names = ", ".join(dict.fromkeys(cache.index["source"]))
        raise InputError(f"{cache.folder}: holds no pictures of '{name}', its sources: {names}")
    by_name = {relative(sample.path, root): sample for sample in samples}
    absent = [image for image in index["image"] if image not in by_name]
    if absent:
        raise InputError(
            f"{cache.folder}: a cache of other data, {len(absent)} of its {len(index)} pictures of {name} "
            f"are not under {root}: {', '.join(absent[:3])}"
        )
    pictures = [by_name[image] for image in index["image"]]
    sums = digests([sample.path for sample in pictures])
    entries = zip(index["image"], sums, index["sha256"], strict=True)
    changed = [image for image, digest, cached in entries if digest != cached]
    if changed:
        raise InputError(
            f"{cache.folder}: a cache of other data, {len(changed)} pictures of {name} changed since: "
            f"{', '.join(changed[:3])}"
        )
    return dict(zip(index.index.tolist(), pictures, strict=True))


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, images: int) -> np.ndarray:
    return np.random.default_rng((seed, turn)).permutation(images)

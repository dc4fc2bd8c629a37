"""What a student learns from: pictures with the teacher's score and quality map beside the MOS, where there is one."""

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


class Lessons(RatedFrames):
    """uint8 RGB frames `[H, W, 3]`, MOS (NaN where nobody rated), the teacher's score and its map `[8, h, w]`.

    The teacher saw whole pictures. A crop is taught the region of the whole picture's map that lies where the crop does
    in the frame, mirrored with it, and (as with MOS) the whole picture's score. Maps come standardised by channel.
    """

    def __init__(self, samples: list[Sample], rows: np.ndarray, cache: TeacherCache, spec: InputSpec,
                 crop: int, seed: int = 0, length: int | None = None) -> None:  # fmt: skip
        """`rows`: where the cache holds the samples. `length`: pictures an epoch, drawn in turn; by default all."""
        super().__init__(samples, spec, crop, seed)
        self.rows, self.cache, self.length = rows, cache, length or len(samples)
        self.mean, self.std = cache.map_scale()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        turn, place = divmod(self.epoch * self.length + index, len(self.samples))
        picture = int(_order(self.seed, turn, len(self.samples))[place])
        frame, view = self.show(picture, index)
        row = self.rows[picture]
        whole = torch.from_numpy((self.cache.map(row) - self.mean) / self.std)
        mos, taught = self.samples[picture].mos, float(self.cache.scores[row])
        return frame, torch.tensor(mos), torch.tensor(taught), region(whole, view, len(frame), self.spec)


def region(whole: Tensor, view: View, crop: int, spec: InputSpec) -> Tensor:
    """What a whole frame's map `[C, h, w]` shows of a square crop of the frame, at the map's own scale."""
    frame = (spec.height, spec.width)
    down, across = (crop / side for side in frame)
    y, x = ((2 * start + crop) / side - 1 for start, side in zip((view.top, view.left), frame, strict=True))
    cells = [len(whole), max(1, round(whole.shape[1] * down)), max(1, round(whole.shape[2] * across))]
    place = torch.tensor([[[-across if view.mirrored else across, 0.0, x], [0.0, down, y]]])
    grid = functional.affine_grid(place, [1, *cells], align_corners=False)
    return functional.grid_sample(whole[None], grid, padding_mode="border", align_corners=False)[0]


def collect(
    cache: TeacherCache, data: list[tuple[str, Path]], unlabelled: list[Path]
) -> tuple[list[Sample], np.ndarray, list[Sample]]:
    """The pictures of a cache that lie under these sources: to learn on, their rows in the cache, and to validate on.

    Raises InputError where the cache is not whole, does not know a source, or was made from other data.
    """
    lacking = len(cache.missing())
    if lacking:
        raise InputError(
            f"{cache.folder}: {lacking} of {len(cache.index)} pictures have no score yet, run train.teacher_cache again"
        )
    sources = [(name, root, load(name, root)) for name, root in data]
    sources += [(folder.resolve().name, folder, load_unlabelled(folder)) for folder in unlabelled]
    samples: dict[int, Sample] = {}
    for name, root, found in sources:
        samples |= _known(cache, name, root, found)
    rows = np.array(sorted(samples))
    parts = cache.index["part"].to_numpy(str)[rows]
    learned = rows[parts != "val"]
    return [samples[row] for row in learned], learned, [samples[row] for row in rows[parts == "val"]]


def _known(cache: TeacherCache, name: str, root: Path, found: list[Sample]) -> dict[int, Sample]:
    """By its row, every picture that the cache holds of a source."""
    index = cache.index[cache.index["source"] == name]
    if index.empty:
        known = ", ".join(dict.fromkeys(cache.index["source"]))
        raise InputError(f"{cache.folder}: holds no pictures of '{name}', its sources: {known}")
    by_name = {relative(sample.path, root): sample for sample in found}
    absent = [image for image in index["image"] if image not in by_name]
    if absent:
        raise InputError(
            f"{cache.folder}: a cache of other data, {len(absent)} of its {len(index)} pictures of {name} "
            f"are not under {root}: {', '.join(absent[:3])}"
        )
    pictures = [by_name[image] for image in index["image"]]
    sums = digests([sample.path for sample in pictures])
    changed = [
        image for image, digest, known in zip(index["image"], sums, index["sha256"], strict=True) if digest != known
    ]
    if changed:
        raise InputError(
            f"{cache.folder}: a cache of other data, {len(changed)} pictures of {name} changed since: "
            f"{', '.join(changed[:3])}"
        )
    return dict(zip(index.index.tolist(), pictures, strict=True))


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, images: int) -> np.ndarray:
    return np.random.default_rng((seed, turn)).permutation(images)

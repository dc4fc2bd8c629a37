"""Distorted frames: pristine photographs, each clean and at two levels of one distortion, beside the rated pictures."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dpiqa.errors import InputError
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import digests
from dpiqa.train.data.frames import RatedFrames, View
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import CAUSES, LEVELS, blend
from dpiqa.train.distortions.reference import at_reference_size

GROUP = 3  # the clean picture, the weaker distortion, the stronger one
CELL = 8
# These have a region of their own, or are only distortions if they fill the frame.
_WHOLE_FRAME_CAUSES = {"obstruction", "transmission"}
_WHOLE_FRAME = {"glare", "infrared_night", "haze", "line_noise", "chromatic_aberration"}
REGIONAL = frozenset(
    name
    for name, distortion in DISTORTIONS.items()
    if distortion.cause not in _WHOLE_FRAME_CAUSES and name not in _WHOLE_FRAME
)


def distorted_count(batch: int, fraction: float) -> int:
    """The number of pictures in a batch that belong to distorted groups: whole groups of three, at least one."""
    return GROUP * max(1, round(fraction * batch / GROUP))


class DistortedFrames(Dataset[tuple[Tensor, ...]]):
    """The crops of `base` with their targets and, in each batch, groups of distorted pristine pictures.

    Every item is (frame, *targets of base, group, level, cause, changed). The three items of a group are the same crop
    of the same picture: clean (level 0) and at two different levels (1 to 5) of one distortion; their targets of base
    are NaN, or -1 for whole numbers. `cause` is an index into CAUSES. `changed`, float `[crop / 8, crop / 8]`, is the
    mean change of each map cell, in levels of 255. Rated items have group and cause -1. Every draw depends only on
    (seed, epoch, index).
    """

    def __init__(self, base: RatedFrames, pictures: list[list[Path]], fraction: float) -> None:
        """`pictures` by source, each source drawn equally often; `fraction` of each batch (0 to 1) is distorted."""
        self.base, self.pictures, self.fraction = base, pictures, fraction
        assert base.crop
        self.seed, self.epoch, self.whole = base.seed, 0, False
        self._unrated: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.base)

    def sha256(self) -> str:
        """Digest of the pictures, the opinion scores, and the effect of every distortion on noise at each level."""
        digest = hashlib.sha256()
        rated = [sample.path for sample in self.base.samples]
        digest.update(repr([sample.mos for sample in self.base.samples]).encode())
        for paths in (rated, *self.pictures):
            digest.update(repr(digests(paths)).encode())
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        for distortion in DISTORTIONS.values():
            digest.update(f"{distortion.name} {distortion.cause}".encode())
            for level in LEVELS:
                digest.update(distortion.apply(noise, level, np.random.default_rng(0)).tobytes())
        return digest.hexdigest()

    def batches(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Indices `[steps, batch]` of an epoch: one pass over the rated pictures, and whole distorted groups."""
        count = distorted_count(batch, self.fraction)
        if batch - count < 2:
            raise InputError(
                f"a fraction of {self.fraction:g} distorted pictures leaves fewer than two rated pictures in a batch "
                f"of {batch}, use a larger --batch"
            )
        rated = self.base.batches(batch - count, rng)
        distorted = len(self.base) + np.arange(len(rated) * count).reshape(len(rated), count)
        return np.hstack([rated, distorted])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        self.base.epoch, self.base.whole = self.epoch, self.whole
        spec, crop = self.base.spec, self.base.side
        assert crop
        if index < len(self.base):
            cells = tuple(-(-min(crop, side) // CELL) for side in (spec.height, spec.width))
            return (*self.base[index], *_labels(-1, 0, -1, np.zeros(cells, np.float32)))
        group, place = divmod(index - len(self.base), GROUP)
        rng = np.random.default_rng((self.seed, self.epoch, len(self.base) + group))
        source = self.pictures[int(rng.integers(len(self.pictures)))]
        path = source[int(rng.integers(len(source)))]
        name = list(DISTORTIONS)[int(rng.integers(len(DISTORTIONS)))]
        level = int([0, *np.sort(rng.choice(LEVELS, 2, replace=False))][place])
        regional = name in REGIONAL and rng.random() < 0.5
        pair = distorted_pair(_read_pristine(path), name, level, int(rng.integers(2**32)), regional)
        view = View.draw((spec.height, spec.width), crop, rng)
        clean, distorted = (view.cut(to_input(picture, spec), crop) for picture in pair)
        cause = CAUSES.index(DISTORTIONS[name].cause)
        self._unrated = self._unrated or [_unrated(target) for target in self.base[0][1:]]
        labels = _labels(group, level, cause, changed_cells(clean, distorted))
        return (torch.from_numpy(distorted), *self._unrated, *labels)


def distorted_pair(
    image: np.ndarray, name: str, level: int, seed: int, regional: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A BGR picture clean and distorted (level 0: not), everywhere or in a region that depends only on `seed`."""
    if not level:
        return image, image
    distorted = DISTORTIONS[name].apply(image, level, np.random.default_rng(seed))
    return image, blend(image, distorted, distortion_region(image.shape[:2], seed)) if regional else distorted


def changed_cells(clean: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """Mean difference of two uint8 frames `[h, w, 3]` by cell, in levels of 255, float32 `[h / 8, w / 8]`."""
    difference = cv2.absdiff(clean, distorted).astype(np.float32).mean(2)
    height, width = (-(-side // CELL) for side in difference.shape)
    return cv2.resize(difference, (width, height), interpolation=cv2.INTER_AREA)


def distortion_region(shape: tuple[int, int], seed: int) -> np.ndarray:
    """A box or an ellipse with a soft edge, float32 `[h, w]` in 0 to 1, about a third to two thirds of each side."""
    rng = np.random.default_rng((seed, 1))
    size, place = rng.uniform(0.35, 0.7, 2), rng.random(2)
    half = size / 2 * shape
    middle = half + place * (np.array(shape) - 2 * half)
    (top, left), (bottom, right) = (np.round(middle + sign * half).astype(int).tolist() for sign in (-1, 1))
    region = np.zeros(shape, np.float32)
    if rng.random() < 0.5:
        region[top:bottom, left:right] = 1
    else:
        axes = (max(1, round(half[1])), max(1, round(half[0])))
        cv2.ellipse(region, (round(middle[1]), round(middle[0])), axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(region, (0, 0), max(0.01 * min(shape), 0.5))


def _unrated(target: Tensor) -> Tensor:
    return torch.full_like(target, torch.nan if target.is_floating_point() else -1)


def _labels(group: int, level: int, cause: int, changed: np.ndarray) -> tuple[Tensor, ...]:
    return torch.tensor(group), torch.tensor(float(level)), torch.tensor(cause), torch.from_numpy(changed)


@lru_cache(maxsize=256)  # about 1 MB each: decoding a large photograph takes longer than most distortions
def _read_pristine(path: Path) -> np.ndarray:
    cv2.setNumThreads(1)
    return at_reference_size(read_picture(path))


class Ladder(Dataset[tuple[Tensor, ...]]):
    """Whole frames for validation: for every distortion and picture the levels 0 to 5, then level 5 in a region.

    Items are (frame, cause index, changed `[h, w]` against level 0), `STEPS` for each distortion and picture;
    distortions of the whole frame have level 5 twice.
    """

    STEPS = len(LEVELS) + 2

    def __init__(self, pictures: list[Path], spec: InputSpec, each: int = 2) -> None:
        """`each`: number of pictures for each distortion; the pictures take turns."""
        self.pictures, self.spec, self.each = pictures, spec, each
        self.names = list(DISTORTIONS)

    def __len__(self) -> int:
        return len(self.names) * self.each * self.STEPS

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        run, step = divmod(index, self.STEPS)
        name = self.names[run // self.each]
        level, regional = min(step, LEVELS[-1]), step > LEVELS[-1] and name in REGIONAL
        image = _read_pristine(self.pictures[run % len(self.pictures)])
        clean, distorted = (to_input(one, self.spec) for one in distorted_pair(image, name, level, run, regional))
        cause = CAUSES.index(DISTORTIONS[name].cause)
        return torch.from_numpy(distorted), torch.tensor(cause), torch.from_numpy(changed_cells(clean, distorted))

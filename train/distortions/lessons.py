"""Lessons on faults: good photographs, each shown clean and with two levels of one fault, beside the rated pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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
from dpiqa.train.data.datasets import Sample, check_pictures, digests, load_unlabelled
from dpiqa.train.data.frames import RatedFrames, View
from dpiqa.train.distortions.kinds import DEGRADATIONS
from dpiqa.train.distortions.kinds.base import CAUSES, LEVELS, blend
from dpiqa.train.distortions.reference import at_reference_size

ROLES = 3  # the clean picture, the weaker fault, the stronger one
MAP_CELL = 8
# These lie in a place of their own, or are no fault unless they fill the frame.
_EVERYWHERE = {"obstruction", "transmission"}
_NEVER_PARTLY = {"glare", "infrared_night", "haze", "line_noise", "chromatic_aberration"}
REGIONAL = frozenset(
    name for name, fault in DEGRADATIONS.items() if fault.cause not in _EVERYWHERE and name not in _NEVER_PARTLY
)
VAL_SHARE = 0.1
BEST_RATED = "best rated"


@dataclass(frozen=True)
class Pristine:
    """Good photographs by where they come from: to learn on, and held out to check on."""

    train: list[list[Path]]
    val: list[Path]
    about: list[dict[str, object]]


def collect_pristine(folders: list[Path], rated: list[Sample], least_mos: float, seed: int) -> Pristine:
    """The pictures of every folder, and the rated training pictures of at least `least_mos`; a tenth of each held out.

    Those of one near-duplicate group are never parted. A rated one held out here is still trained on undegraded.
    Raises InputError for broken pictures, for two folders of one name and where no picture can be held out.
    """
    names = [folder.resolve().name for folder in folders]
    if BEST_RATED in names:
        raise InputError(f"--pristine: a folder called '{BEST_RATED}' could not be told from the best of the rated")
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"--pristine: two folders are called '{min(twice)}', the model could not tell them apart")
    sources = {name: load_unlabelled(folder, "--pristine") for name, folder in zip(names, folders, strict=True)}
    for name, samples in sources.items():
        check_pictures(name, samples, progress=True)
    sources[BEST_RATED] = [sample for sample in rated if sample.mos >= least_mos]
    parts, held_out, about = [], [], []
    for name, samples in sources.items():
        groups = sorted({sample.group for sample in samples})
        chosen = np.random.default_rng(seed).permutation(len(groups))[: round(VAL_SHARE * len(groups))]
        kept_back = {groups[place] for place in chosen}
        held_out += [sample.path for sample in samples if sample.group in kept_back]
        parts.append([sample.path for sample in samples if sample.group not in kept_back])
        about.append({"name": name, "images": len(parts[-1])})
    if not held_out:
        raise InputError("too few pristine pictures: six in a folder, or rated from --pristine-mos on, are the least")
    rng = np.random.default_rng(seed)
    return Pristine([part for part in parts if part], [held_out[n] for n in rng.permutation(len(held_out))],
                    [entry for entry in about if entry["images"]])  # fmt: skip


def made_of(batch: int, share: float) -> int:
    """How many of a batch are made: whole groups of three, as near to the share as they come, at least one."""
    return ROLES * max(1, round(share * batch / ROLES))


class WithFaults(Dataset[tuple[Tensor, ...]]):
    """The crops of `base` with their targets and, in each batch, a share of faults made on pristine pictures.

    Every item is (frame, *targets of base, group, level, cause, changed). Three items of one group are the same crop of
    the same picture: clean (level 0) and with two different levels (1 to 5) of one fault; their targets of base are
    NaN, or -1 where those are whole numbers. `cause` is an index into CAUSES. `changed`, float `[crop / 8, crop / 8]`,
    tells by how many of 255 levels the fault moved each cell of the map on average. Rated items have group and cause
    -1. Every draw depends on (seed, epoch, index) alone.
    """

    def __init__(self, base: RatedFrames, pictures: list[list[Path]], share: float) -> None:
        """`pictures` by source, each source as often drawn; `share` of every batch (0 to 1) is made."""
        self.base, self.pictures, self.share = base, pictures, share
        assert base.crop
        self.crop, self.seed, self.epoch = base.crop, base.seed, 0
        self._unknown: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.base)

    def sha256(self) -> str:
        """Of all that is shown here: the pictures, the opinions, and what every fault makes of grain at each level."""
        whole = hashlib.sha256()
        rated = [sample.path for sample in self.base.samples]
        whole.update(repr([sample.mos for sample in self.base.samples]).encode())
        for paths in (rated, *self.pictures):
            whole.update(repr(digests(paths)).encode())
        grain = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        for fault in DEGRADATIONS.values():
            whole.update(f"{fault.name} {fault.cause}".encode())
            for level in LEVELS:
                whole.update(fault.apply(grain, level, np.random.default_rng(0)).tobytes())
        return whole.hexdigest()

    def batches(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Indices `[steps, batch]` of an epoch: one pass over the rated pictures, and whole groups of made ones."""
        made = made_of(batch, self.share)
        if batch - made < 2:
            raise InputError(
                f"made faults of a share of {self.share:g} leave fewer than two rated pictures in a batch of {batch}, "
                "use a larger --batch"
            )
        rated = self.base.batches(batch - made, rng)
        numbers = len(self.base) + np.arange(len(rated) * made).reshape(len(rated), made)
        return np.hstack([rated, numbers])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        self.base.epoch = self.epoch
        if index < len(self.base):
            cells = -(-self.crop // MAP_CELL)
            return (*self.base[index], *_told(-1, 0, -1, np.zeros((cells, cells), np.float32)))
        group, role = divmod(index - len(self.base), ROLES)
        rng = np.random.default_rng((self.seed, self.epoch, len(self.base) + group))
        source = self.pictures[int(rng.integers(len(self.pictures)))]
        path = source[int(rng.integers(len(source)))]
        name = list(DEGRADATIONS)[int(rng.integers(len(DEGRADATIONS)))]
        level = int([0, *np.sort(rng.choice(LEVELS, 2, replace=False))][role])
        partly = name in REGIONAL and rng.random() < 0.5
        clean, made = pair(_pristine(path), name, level, int(rng.integers(2**32)), partly)
        spec = self.base.spec
        view = View.draw((spec.height, spec.width), self.crop, rng)
        before, after = (view.cut(to_input(picture, spec), self.crop) for picture in (clean, made))
        cause = CAUSES.index(DEGRADATIONS[name].cause)
        self._unknown = self._unknown or [_unknown(target) for target in self.base[0][1:]]
        return (torch.from_numpy(after), *self._unknown, *_told(group, level, cause, changed_cells(before, after)))


def pair(image: np.ndarray, name: str, level: int, seed: int, partly: bool) -> tuple[np.ndarray, np.ndarray]:
    """A BGR picture clean and with a fault (level 0: none) all over, or in a region that depends on `seed` alone."""
    if not level:
        return image, image
    made = DEGRADATIONS[name].apply(image, level, np.random.default_rng(seed))
    return image, blend(image, made, fault_region(image.shape[:2], seed)) if partly else made


def changed_cells(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """By how many levels two uint8 frames `[h, w, 3]` differ on average, float32 `[h / 8, w / 8]`."""
    away = cv2.absdiff(before, after).astype(np.float32).mean(2)
    height, width = (-(-side // MAP_CELL) for side in away.shape)
    return cv2.resize(away, (width, height), interpolation=cv2.INTER_AREA)


def fault_region(shape: tuple[int, int], seed: int) -> np.ndarray:
    """A box or an ellipse with a soft edge, float32 `[h, w]` in 0 to 1: a third to two thirds of the picture across."""
    rng = np.random.default_rng((seed, 1))
    size, place = rng.uniform(0.35, 0.7, 2), rng.random(2)
    half = size / 2 * shape
    middle = half + place * (np.array(shape) - 2 * half)
    (top, left), (bottom, right) = (np.round(middle + sign * half).astype(int).tolist() for sign in (-1, 1))
    share = np.zeros(shape, np.float32)
    if rng.random() < 0.5:
        share[top:bottom, left:right] = 1
    else:
        axes = (max(1, round(half[1])), max(1, round(half[0])))
        cv2.ellipse(share, (round(middle[1]), round(middle[0])), axes, 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(share, (0, 0), max(0.01 * min(shape), 0.5))


def _unknown(target: Tensor) -> Tensor:
    return torch.full_like(target, torch.nan if target.is_floating_point() else -1)


def _told(group: int, level: int, cause: int, changed: np.ndarray) -> tuple[Tensor, ...]:
    return torch.tensor(group), torch.tensor(float(level)), torch.tensor(cause), torch.from_numpy(changed)


@lru_cache(maxsize=256)  # of about 1 MB each: decoding a large photograph takes longer than most faults on it
def _pristine(path: Path) -> np.ndarray:
    cv2.setNumThreads(1)
    return at_reference_size(read_picture(path))


class Ladder(Dataset[tuple[Tensor, ...]]):
    """Whole frames to check on: for every fault and picture the levels 0 to 5, then level 5 in a region.

    Items are (frame, cause index, changed `[h, w]` against level 0), `STEPS` to a fault and picture; faults that have
    no region show level 5 twice.
    """

    STEPS = len(LEVELS) + 2

    def __init__(self, pictures: list[Path], spec: InputSpec, each: int = 2) -> None:
        """`each`: how many pictures show each fault; all pictures take turns."""
        self.pictures, self.spec, self.each = pictures, spec, each
        self.faults = list(DEGRADATIONS)

    def __len__(self) -> int:
        return len(self.faults) * self.each * self.STEPS

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        run, step = divmod(index, self.STEPS)
        name = self.faults[run // self.each]
        level, partly = min(step, LEVELS[-1]), step > LEVELS[-1] and name in REGIONAL
        clean, made = pair(_pristine(self.pictures[run % len(self.pictures)]), name, level, run, partly)
        before, after = (to_input(picture, self.spec) for picture in (clean, made))
        cause = CAUSES.index(DEGRADATIONS[name].cause)
        return torch.from_numpy(after), torch.tensor(cause), torch.from_numpy(changed_cells(before, after))

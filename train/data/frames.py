"""Pictures as model input: resized by the contract's rule, cropped and flipped for training."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample


class View(NamedTuple):
    """A crop of a frame: its corner in pixels, and whether it is mirrored."""

    top: int
    left: int
    mirrored: bool

    @classmethod
    def draw(cls, size: tuple[int, int], crop: int, rng: np.random.Generator) -> View:
        """A random square crop of a frame of `size` (height, width), mirrored half of the time.

        Along an axis that is shorter than the crop it is the whole frame.
        """
        top, left = (int(rng.integers(0, max(side - crop, 0) + 1)) for side in size)
        return cls(top, left, bool(rng.random() < 0.5))

    def cut(self, frame: np.ndarray, crop: int) -> np.ndarray:
        """This crop of a frame `[H, W, 3]`: `[crop, crop, 3]`, or less along an axis that is shorter."""
        part = frame[self.top : self.top + crop, self.left : self.left + crop]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)


class RatedFrames(Dataset[tuple[Tensor, ...]]):
    """uint8 RGB frames `[H, W, 3]` with their MOS.

    With `crop`, a square crop of the resized picture at its native scale, flipped half of the time: resizing a crop
    would change the blur and noise that were rated. While `whole` is set, frames are flipped but not cropped. Each draw
    depends only on (seed, epoch, index), so it is the same after a resume and with any number of workers.
    """

    whole = False

    def __init__(self, samples: list[Sample], spec: InputSpec, crop: int | None = None, seed: int = 0) -> None:
        """`crop` in pixels, at most the input's height and width; None gives whole frames."""
        cv2.setNumThreads(1)  # here too: a forked worker would wait forever for its parent's threads
        self.samples, self.spec, self.crop, self.seed, self.epoch = samples, spec, crop, seed, 0

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def side(self) -> int | None:
        """The side of the crops in use, in pixels; None for frames as they are."""
        return max(self.spec.height, self.spec.width) if self.crop and self.whole else self.crop

    def batches(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Indices `[steps, batch]` of an epoch: all items in random order, without the last incomplete batch."""
        steps = len(self) // batch
        return rng.permutation(len(self))[: steps * batch].reshape(steps, batch)

    def shuffled(self, count: int) -> list[int]:
        """Up to `count` indices in an order that depends on the seed alone."""
        return np.random.default_rng(self.seed).permutation(len(self))[:count].tolist()

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        frame, _ = self.load(index, index)
        return frame, torch.tensor(self.samples[index].mos, dtype=torch.float32)

    def load(self, picture: int, index: int) -> tuple[Tensor, View]:
        """A picture's frame, or its crop for `index` of this epoch, and the view that was cropped."""
        cv2.setNumThreads(1)
        frame = to_input(read_picture(self.samples[picture].path), self.spec)
        view = View(0, 0, False)
        if side := self.side:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            view = View.draw((self.spec.height, self.spec.width), side, rng)
            frame = view.cut(frame, side)
        return torch.from_numpy(np.ascontiguousarray(frame)), view


class CollectedFrames(RatedFrames):
    """Rated frames with a third item, the number of the collection that the picture comes from."""

    def __init__(self, samples: list[Sample], spec: InputSpec, crop: int | None = None, seed: int = 0) -> None:
        super().__init__(samples, spec, crop, seed)
        numbers = {name: number for number, name in enumerate(sorted({sample.collection for sample in samples}))}
        self.collections = [numbers[sample.collection] for sample in samples]

    def pictures(self) -> list[int]:
        """How many pictures each collection has."""
        return np.bincount(self.collections).tolist()

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return (*super().__getitem__(index), torch.tensor(self.collections[index]))

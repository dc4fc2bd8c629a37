"""Pictures as the model sees them: resized by the contract's rule, cropped and flipped for training."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from runtime.pictures import read_picture
from runtime.preprocess import to_input
from runtime.spec import InputSpec

from .datasets import Sample


class RatedFrames(Dataset[tuple[Tensor, Tensor]]):
    """uint8 RGB frames `[H, W, 3]` with their MOS.

    With `crop`, a square crop of the resized picture at its native scale, flipped half of the time: resizing a crop
    would change the blur and noise that the label speaks of. Each draw depends on (seed, epoch, index) alone, so it
    is the same after a resume and with any number of workers.
    """

    def __init__(self, samples: list[Sample], spec: InputSpec, crop: int | None = None, seed: int = 0) -> None:
        """`crop` in pixels, at most the input's height and width; None gives whole frames."""
        self.samples, self.spec, self.crop, self.seed, self.epoch = samples, spec, crop, seed, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        cv2.setNumThreads(1)
        frame = to_input(read_picture(self.samples[index].path), self.spec)
        if self.crop:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            top, left = (int(rng.integers(0, side - self.crop + 1)) for side in frame.shape[:2])
            frame = frame[top : top + self.crop, left : left + self.crop]
            frame = frame[:, ::-1] if rng.random() < 0.5 else frame
        return torch.from_numpy(np.ascontiguousarray(frame)), torch.tensor(self.samples[index].mos, dtype=torch.float32)

"""Running a model over a data set of frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dpiqa.runtime.allocator import return_free_memory


def predict(model: nn.Module, frames: Any, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Score whole frames: float `[N]` scores and float `[N]` MOS, in the data set's order."""
    scores, targets = [np.empty(0)], [np.empty(0)]
    for (score, *_), (mos, *_) in infer_batches(model, frames, batch):
        scores.append(score.double().numpy())
        targets.append(mos.double().numpy())
    return np.concatenate(scores), np.concatenate(targets)


@torch.inference_mode()
def infer_batches(model: nn.Module, frames: Any, batch: int = 16) -> Iterator[tuple[tuple[Tensor, ...], list[Tensor]]]:
    """All outputs of a model for whole frames, on the CPU, and all targets, batch by batch in the data set's order."""
    model.eval()
    device = next(model.parameters()).device
    for pictures, *targets in load_batches(frames, batch_size=batch):
        outputs = model(pictures.to(device))
        yield tuple(output.cpu() for output in (outputs if isinstance(outputs, tuple) else (outputs,))), targets


def load_batches(frames: Any, **options: Any) -> DataLoader[Any]:
    """A loader with half as many workers as the machine has cores, 1 to 4."""
    return_free_memory()
    return DataLoader(frames, num_workers=min(4, max(1, (os.cpu_count() or 1) // 2)), **options)

"""dpiqa where images are PyTorch tensors: as a metric of torchmetrics, and as one with pyiqa's way of calling.

    python -m pip install torchmetrics

    quality = Quality()                      # in a training or evaluation loop
    quality.update(images)                   # [n, 3, h, w], RGB: uint8, or floats from 0 to 1
    quality.compute()                        # the mean score, 0 to 100

    metric = create_metric("dpiqa-lite0")    # as with pyiqa.create_metric
    metric("photo.jpg")                      # or images: [n, 1]

Scores are for reading, not for training on: there is no gradient, and everything is computed on the CPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from dpiqa import InputError, Scorer


class Quality(Metric):
    """The mean score of all images so far, 0 to 100; `causes()` gives the means of the causes, 0 to 1."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound, plot_upper_bound = 0.0, 100.0
    sums: Tensor
    count: Tensor

    def __init__(self, model: str | Path | None = None) -> None:
        super().__init__()
        self.scorer = Scorer(model)
        zeros = torch.zeros(1 + len(self.scorer.spec.causes), dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Score images `[n, 3, h, w]`, RGB, uint8 or floats from 0 to 1."""
        for image in _arrays(images):
            reading = self.scorer.score(image)
            causes = [reading.causes.get(name, 0.0) for name in self.scorer.spec.causes]
            self.sums += torch.tensor([reading.score, *causes], dtype=torch.float64, device=self.sums.device)
            self.count += 1

    def compute(self) -> Tensor:
        """The mean score."""
        return self._means()[0]

    def causes(self) -> dict[str, float]:
        """The mean of each cause."""
        return dict(zip(self.scorer.spec.causes, self._means()[1:].tolist(), strict=True))

    def _means(self) -> Tensor:
        return (self.sums / self.count).float()


class CallableMetric(torch.nn.Module):
    """Called with a path or with images `[n, 3, h, w]` it returns scores `[n, 1]`, as the metrics of pyiqa do."""

    metric_mode, lower_better, score_range = "NR", False, "0, 100"

    def __init__(self, model: str | Path | None = None) -> None:
        super().__init__()
        self.scorer = Scorer(model)

    def forward(self, images: Tensor | str | Path) -> Tensor:
        """Score a picture file, or images: RGB, uint8 or floats from 0 to 1."""
        pictures = _arrays(images) if isinstance(images, Tensor) else [images]
        return torch.tensor([[self.scorer.score(picture).score] for picture in pictures])


def create_metric(name: str | Path = "dpiqa-lite0") -> CallableMetric:
    """A metric by the name of a shipped model, or by the path of a model file."""
    return CallableMetric(name)


def _arrays(images: Tensor) -> list[np.ndarray]:
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(f"images: expected [n, 3, h, w], found {list(images.shape)}")
    if images.is_floating_point():
        images = (images.clamp(0, 1) * 255).round()
    bgr = images.detach().to("cpu", torch.uint8).flip(1).permute(0, 2, 3, 1).contiguous().numpy()
    return list(bgr)

"""Metrics of a student on distortions of held-out pictures: one row, cheap enough for every epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dpiqa.train.distortions.frames import Ladder
from dpiqa.train.loop.inference import infer_batches

TOLERANCE = 1.0


def distortion_metrics(model: nn.Module, names: tuple[str, ...], ladder: Ladder) -> dict[str, float]:
    """Metrics on a ladder, for those outputs that a model with outputs `names` has.

    `val_order`: the fraction of adjacent levels at which the stronger distortion scores at most a point higher.
    `val_cause`: the fraction of distorted frames whose strongest cause is right. `val_map`: by how many points the map
    falls in a region that is distorted at level 5, minus its fall outside.
    """
    batches = list(infer_batches(model, ladder))
    columns = zip(*(outputs for outputs, _ in batches), strict=True)
    outputs = dict(zip(names, (torch.cat(column) for column in columns), strict=False))
    cause, changed = (torch.cat(column) for column in zip(*(targets for _, targets in batches), strict=True))
    return ladder_metrics(outputs, cause, changed, ladder.STEPS)


def ladder_metrics(outputs: dict[str, Tensor], cause: Tensor, changed: Tensor, steps: int) -> dict[str, float]:
    """The same from outputs by name and targets: all `[N, ...]`, N a multiple of `steps`."""
    runs = outputs["score"].reshape(-1, steps)[:, :-1].numpy()  # the last step is the region
    row = {"val_order": float((np.diff(runs, axis=1) <= TOLERANCE).mean())}
    if "causes" in outputs:
        right = (outputs["causes"].argmax(1) == cause).reshape(-1, steps)[:, 1:-1]
        row["val_cause"] = float(right.float().mean())
    if "map" in outputs:
        maps = outputs["map"].reshape(-1, steps, *outputs["map"].shape[1:])
        fall = maps[:, 0] - maps[:, -1]
        cells = nn.functional.interpolate(changed[steps - 1 :: steps, None], fall.shape[1:], mode="area")[:, 0]
        inside, outside = cells > TOLERANCE, cells == 0
        both = inside.any(2).any(1) & outside.any(2).any(1)
        lead = _mean(fall, inside) - _mean(fall, outside)
        row |= {"val_map": float(lead[both].mean())} if both.any() else {}
    return row


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the masked cells of each map, float `[N]`."""
    return (values * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)

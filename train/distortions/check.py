"""How a student does on made faults of pictures held out: one row of figures, cheap enough for every epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dpiqa.train.distortions.lessons import Ladder
from dpiqa.train.loop.fit import answers

TOLERANCE = 1.0


def fault_figures(model: nn.Module, names: tuple[str, ...], ladder: Ladder) -> dict[str, float]:
    """Figures on a ladder, of the outputs that a model with outputs `names` has.

    `val_order`: the share of adjacent levels in which the stronger fault scores at most a point higher. `val_cause`:
    the share of degraded frames whose top cause is right. `val_map`: by how many points the map falls in a region that
    is degraded at level 5, less its fall outside.
    """
    found: list[tuple[Tensor, ...]] = []
    told: list[list[Tensor]] = []
    for outputs, targets in answers(model, ladder):
        found.append(outputs)
        told.append(targets)
    said = dict(zip(names, (torch.cat(column) for column in zip(*found, strict=True)), strict=False))
    cause, changed = (torch.cat(column) for column in zip(*told, strict=True))
    return figures(said, cause, changed, ladder.STEPS)


def figures(said: dict[str, Tensor], cause: Tensor, changed: Tensor, steps: int) -> dict[str, float]:
    """The same from the outputs: all `[N, ...]`, N a multiple of `steps`."""
    runs = said["score"].reshape(-1, steps)[:, :-1].numpy()  # the last step is the region
    row = {"val_order": float((np.diff(runs, axis=1) <= TOLERANCE).mean())}
    if "causes" in said:
        right = (said["causes"].argmax(1) == cause).reshape(-1, steps)[:, 1:-1]
        row["val_cause"] = float(right.float().mean())
    if "map" in said:
        drawn = said["map"].reshape(-1, steps, *said["map"].shape[1:])
        fall = drawn[:, 0] - drawn[:, -1]
        cells = nn.functional.interpolate(changed[steps - 1 :: steps, None], fall.shape[1:], mode="area")[:, 0]
        inside, outside = cells > TOLERANCE, cells == 0
        both = inside.any(2).any(1) & outside.any(2).any(1)
        lead = _mean(fall, inside) - _mean(fall, outside)
        row |= {"val_map": float(lead[both].mean())} if both.any() else {}
    return row


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Of the chosen cells of each map, float `[N]`."""
    return (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp_min(1)

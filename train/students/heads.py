"""Training of the cause and map heads on a frozen trunk.

The trunk runs only once per picture: the map head learns from its features as they are computed, the cause head
afterwards, for many epochs, from stored features. They are kept in `seen.pt` (14 kB per picture with Lite0), so that a
second run does not repeat the slow first part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.train.distortions.frames import DistortedFrames, distorted_count
from dpiqa.train.distortions.losses import cause_loss, map_level_loss, map_place_loss, severity
from dpiqa.train.loop.checkpoint import DAMAGE, save_whole
from dpiqa.train.loop.inference import load_batches
from dpiqa.train.loop.recipe import HeadRecipe
from dpiqa.train.students.model import Student, deviations, means


class Features(NamedTuple):
    """The trunk's features of distorted pictures, their labels, and how the map head learned meanwhile.

    Features float32 `[N, F]`, causes as indices `[N]`, severities `[N]` in 0 to 1; the map's mean loss; seconds.
    """

    values: Tensor
    cause: Tensor
    severities: Tensor
    map_loss: float
    seconds: float


def check_batch(frames: DistortedFrames, recipe: HeadRecipe) -> None:
    """Raise InputError if the rated pictures do not fill one batch."""
    if not len(frames.batches(recipe.batch, np.random.default_rng(0))):
        raise InputError(f"{len(frames)} rated pictures do not fill one batch, use a smaller --batch")


def draw_batches(frames: DistortedFrames, recipe: HeadRecipe, steps: int) -> Iterator[list[Tensor]]:
    """`steps` batches; each pass over the rated pictures has its own distorted ones."""
    while steps:
        order = frames.batches(recipe.batch, np.random.default_rng((recipe.seed, frames.epoch)))[:steps]
        yield from load_batches(frames, batch_sampler=order.tolist())
        steps -= len(order)
        frames.epoch += 1


def train_map(student: Student, batches: Iterable[list[Tensor]], recipe: HeadRecipe, steps: int) -> Features:
    """Train the map head on `batches` of DistortedFrames as they come; the features of the distorted pictures."""
    began = time.monotonic()
    weights = [*student.map_levels.parameters(), *student.map_head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows: list[tuple[Tensor, ...]] = []
    losses = []
    for batch in track(batches, "training the map", steps):
        frames, mos, group, level, cause, changed = (one.to(student.mean.device) for one in batch)
        with torch.no_grad():
            levels = student.forward_features(frames)
            is_distorted = group >= 0
            own = [one[is_distorted] for one in levels]
            values = torch.cat([means(own), deviations(own)], dim=1)
            severities = severity(level, changed)[is_distorted]
            rows.append((values.cpu(), cause[is_distorted].cpu(), severities.cpu()))
        maps = student.forward_map(levels)
        loss = map_level_loss(maps[~is_distorted], mos[~is_distorted])
        loss = loss + map_place_loss(
            maps[is_distorted], group[is_distorted], level[is_distorted], changed[is_distorted]
        )
        losses.append(_step(loss, optimizer, schedule))
    values, cause, severities = (torch.cat(column) for column in zip(*rows, strict=True))
    return Features(values, cause, severities, float(np.mean(losses)), time.monotonic() - began)


def extract_features(
    student: Student, frames: DistortedFrames, recipe: HeadRecipe, record: dict[str, Any], out: Path
) -> Features:
    """Train the map and return the features, or take both from an earlier run of the same kind in the folder `out`.

    Raises InputError if another run wrote there, and where there is no room.
    """
    file = out / "seen.pt"
    if not file.exists() and (out / "best.pt").exists():
        raise InputError(f"{out}: holds the checkpoint of another run, choose another --out")
    key = {name: value for name, value in asdict(recipe).items() if name not in ("epochs", "cause_batch")} | record
    map_head = nn.ModuleDict({"levels": student.map_levels, "head": student.map_head})
    if file.exists():
        try:
            stored = torch.load(file, map_location="cpu", weights_only=True)
            if stored["key"] != key:
                raise InputError(f"{file}: of another start, recipe or data; choose another --out to start anew")
            map_head.load_state_dict(stored["map"])
            return Features(*stored["seen"])
        except DAMAGE:
            raise InputError(f"{file}: damaged, remove it to compute the features again") from None
    steps = -(-recipe.pictures // distorted_count(recipe.batch, recipe.share))
    features = train_map(student, draw_batches(frames, recipe, steps), recipe, steps)
    save_whole({"key": key, "map": map_head.state_dict(), "seen": tuple(features)}, file)
    return features


def train_causes(head: nn.Module, features: Features, recipe: HeadRecipe) -> float:
    """Train the cause head on features; the mean loss of the last epoch."""
    rng = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)  # of the dropout, whether or not the features were stored
    device = next(head.parameters()).device
    optimizer = torch.optim.AdamW(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = -(-len(features.cause) // recipe.cause_batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * steps)
    losses = [0.0]
    for _ in track(range(recipe.epochs), "training the causes"):
        losses = []
        for rows in np.array_split(rng.permutation(len(features.cause)), steps):
            values, cause, severities = (one[rows].to(device) for one in features[:3])
            losses.append(_step(cause_loss(torch.sigmoid(head(values)), cause, severities), optimizer, schedule))
    return float(np.mean(losses))


def _step(loss: Tensor, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> float:
    """One step; returns the loss, or raises InputError if it is not finite."""
    value = loss.item()
    if not math.isfinite(value):
        raise InputError(f"the loss is {value:g}, use a smaller --lr")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    return value

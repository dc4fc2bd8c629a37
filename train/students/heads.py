"""Training of causes and map on a trunk that stays as it is.

The trunk looks at every picture once: the map learns as they pass, the causes afterwards, in many epochs, from what the
trunk saw. That is kept in `seen.pt` (14 kB a picture with Lite0), so that looking, which takes long, is not done twice.
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
from dpiqa.train.distortions.lessons import WithFaults, made_of
from dpiqa.train.distortions.losses import cause_loss, map_level_loss, map_place_loss, severity
from dpiqa.train.loop.checkpoint import DAMAGE, save_whole
from dpiqa.train.loop.fit import load_batches
from dpiqa.train.loop.recipe import HeadRecipe
from dpiqa.train.students.model import Student, deviations, means


class Seen(NamedTuple):
    """What the trunk saw of made pictures, what they were, and how the map learned from them meanwhile.

    Summaries float32 `[N, F]`, causes as indices `[N]`, how bad each is, 0 to 1, `[N]`; the map's mean loss; seconds.
    """

    summaries: Tensor
    cause: Tensor
    worst: Tensor
    map_loss: float
    seconds: float


def check_batch(lessons: WithFaults, recipe: HeadRecipe) -> None:
    """Raise InputError where the rated pictures do not fill one batch."""
    if not len(lessons.batches(recipe.batch, np.random.default_rng(0))):
        raise InputError(f"{len(lessons)} rated pictures do not fill one batch, use a smaller --batch")


def passes(lessons: WithFaults, recipe: HeadRecipe, steps: int) -> Iterator[list[Tensor]]:
    """So many batches; every pass over the rated pictures comes with faults of its own."""
    while steps:
        order = lessons.batches(recipe.batch, np.random.default_rng((recipe.seed, lessons.epoch)))[:steps]
        yield from load_batches(lessons, batch_sampler=order.tolist())
        steps -= len(order)
        lessons.epoch += 1


def look_and_draw(student: Student, batches: Iterable[list[Tensor]], recipe: HeadRecipe, steps: int) -> Seen:
    """Train the map on `batches` of faults.WithFaults as they come; what was seen."""
    began = time.monotonic()
    weights = [*student.map_levels.parameters(), *student.map_head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seen: list[tuple[Tensor, ...]] = []
    losses = []
    for shown in track(batches, "looking", steps):
        frames, mos, group, level, cause, changed = (one.to(student.mean.device) for one in shown)
        with torch.no_grad():
            levels = student.look(frames)
            made = group >= 0
            faulty = [one[made] for one in levels]
            summaries = torch.cat([means(faulty), deviations(faulty)], dim=1)
            seen.append((summaries.cpu(), cause[made].cpu(), severity(level, changed)[made].cpu()))
        drawn = student.draw(levels)
        loss = map_level_loss(drawn[~made], mos[~made])
        loss = loss + map_place_loss(drawn[made], group[made], level[made], changed[made])
        losses.append(_learn(loss, optimizer, schedule))
    summaries, cause, worst = (torch.cat(column) for column in zip(*seen, strict=True))
    return Seen(summaries, cause, worst, float(np.mean(losses)), time.monotonic() - began)


def look_once(student: Student, lessons: WithFaults, recipe: HeadRecipe, about: dict[str, Any], out: Path) -> Seen:
    """The same, or what an earlier run that would have seen the same left in the folder `out`, with its map.

    Raises InputError where that run was another one, and where there is no room.
    """
    kept = out / "seen.pt"
    if not kept.exists() and (out / "best.pt").exists():
        raise InputError(f"{out}: holds the checkpoint of another run, choose another --out")
    key = {name: value for name, value in asdict(recipe).items() if name not in ("epochs", "cause_batch")} | about
    maps = nn.ModuleDict({"levels": student.map_levels, "head": student.map_head})
    if kept.exists():
        try:
            stored = torch.load(kept, map_location="cpu", weights_only=True)
            if stored["key"] != key:
                raise InputError(f"{kept}: of another start, recipe or data; choose another --out to start anew")
            maps.load_state_dict(stored["map"])
            return Seen(*stored["seen"])
        except DAMAGE:
            raise InputError(f"{kept}: damaged, remove it to look again") from None
    steps = -(-recipe.pictures // made_of(recipe.batch, recipe.share))
    seen = look_and_draw(student, passes(lessons, recipe, steps), recipe, steps)
    save_whole({"key": key, "map": maps.state_dict(), "seen": tuple(seen)}, kept)
    return seen


def name_causes(head: nn.Module, seen: Seen, recipe: HeadRecipe) -> float:
    """Train the head that names causes on what was seen; the mean loss of the last epoch."""
    rng = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)  # of the dropout, whether or not anything was looked at before
    device = next(head.parameters()).device
    optimizer = torch.optim.AdamW(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = -(-len(seen.cause) // recipe.cause_batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * steps)
    losses = [0.0]
    for _ in track(range(recipe.epochs), "naming causes"):
        losses = []
        for rows in np.array_split(rng.permutation(len(seen.cause)), steps):
            summaries, cause, worst = (one[rows].to(device) for one in (seen.summaries, seen.cause, seen.worst))
            losses.append(_learn(cause_loss(torch.sigmoid(head(summaries)), cause, worst), optimizer, schedule))
    return float(np.mean(losses))


def _learn(loss: Tensor, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> float:
    """One step; the loss, or InputError where it is not finite."""
    found = loss.item()
    if not math.isfinite(found):
        raise InputError(f"the loss is {found:g}, use a smaller --lr")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    return found

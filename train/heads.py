"""Teach a student causes and a map, its scores untouched: `python -m train.heads --start FILE --data ... --out DIR`.

The trunk stays as it is, so that it looks at every picture once: the map learns as they pass, the causes afterwards, in
many epochs, from what the trunk saw. That is kept in `seen.pt` (14 kB a picture with Lite0), so that looking, which
takes long, is not done twice; a run that was killed while it looked begins anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import typer
from rich.progress import track
from torch import Tensor, nn

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.spec import InputSpec

from .checkpoint import DAMAGE, State, save_whole, weights_sha256
from .fault_losses import FaultWeights, cause_loss, map_level_loss, map_place_loss, severity
from .fault_plan import LEAST_MOS, Folders, LeastMos, plan_faults
from .faults import WithFaults, made_of
from .frames import RatedFrames
from .loop import keep_freed_memory, load_batches
from .memory import memory_advice
from .processes import accelerator
from .record import record_run
from .splits import AUTO, DIVISIONS, load_parts
from .student_model import Student, deviations, load_start, means, with_heads


@dataclass(frozen=True)
class HeadRecipe:
    """All numbers that the training of heads depends on.

    `pictures` made ones are looked at, `share` of every batch; the rest of a batch is rated and tells the map its
    level. The causes learn `epochs` from what was seen, in batches of `cause_batch`. Both rates fall to nothing along a
    cosine.
    """

    pictures: int = 24_000
    share: float = 0.8
    batch: int = 32
    epochs: int = 20
    cause_batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0


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


@memory_advice("use a smaller --batch or fewer --pictures")
def main(
    start: Annotated[Path, typer.Option(help="Student to teach: a checkpoint, or an FP32 model file.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint and its log; what a run there saw is not repeated.")
    ],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    arch: Annotated[str | None, typer.Option(help="The trunk of a model file, by default Lite0.")] = None,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    pictures: Annotated[int, typer.Option(min=3, help="How many made pictures to learn from.")] = HeadRecipe.pictures,
    epochs: Annotated[int, typer.Option(min=1, help="Of the causes, on what was seen.")] = HeadRecipe.epochs,
    batch: Annotated[int, typer.Option(min=4)] = HeadRecipe.batch,
    lr: Annotated[float, typer.Option(min=0)] = HeadRecipe.lr,
    seed: Annotated[int, typer.Option(min=0)] = HeadRecipe.seed,
) -> None:
    """Learn causes and map from made faults, and leave every score as it is."""
    keep_freed_memory()
    student, before = load_start(start, arch)
    recipe = HeadRecipe(pictures, batch=batch, epochs=epochs, lr=lr, seed=seed)
    spec = InputSpec(**before["input"])
    whole, trained_on = load_parts(data, split, seed)
    plan = plan_faults(recipe.share, pristine, pristine_mos, FaultWeights(order=0), whole.train, seed)
    assert plan
    digest = weights_sha256(student)
    torch.manual_seed(seed)
    student = with_heads(with_heads(student, {}), plan.heads)  # new ones, also where --start has some
    student.freeze(student.trunk, student.head)
    student.train()
    trained_on += plan.photographs
    trained_on = [entry for entry in before["trained_on"] if entry not in trained_on] + trained_on
    about = {"student": student.config, "input": spec.model_dump(), "trained_on": trained_on, "begun": digest,
             "frozen": ["score"]} | plan.about  # fmt: skip

    lessons = plan.lessons(RatedFrames(whole.train, spec, min(spec.height, spec.width), seed))
    check_batch(lessons, recipe)
    shown = {"lessons_sha256": lessons.sha256()}
    out.mkdir(parents=True, exist_ok=True)
    student.to(accelerator("fp32").device)
    seen = look_once(student, lessons, recipe, about | shown, out)
    began = time.monotonic()
    loss = name_causes(student.cause_head, seen, recipe)
    seconds = seen.seconds + time.monotonic() - began
    student.eval()
    row = {"cause_loss": loss, "map_loss": seen.map_loss} | plan.check(student.outputs, spec)(student)
    row |= {"train_seconds": round(seconds, 1)}

    State({"ema": student}, recipe, about).save(out / "best.pt")
    with atomic_write(out / "log.csv") as file:
        pd.DataFrame([row]).to_csv(file, index=False)
    parameters = sum(weight.numel() for weight in student.parameters())
    record_run(out, about | shown, command="train.heads", start=f"a student of weights {digest[:12]}",
               recipe=asdict(recipe), parameters=parameters)  # fmt: skip
    typer.echo("  ".join(f"{name} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    run(main)

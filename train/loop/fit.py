"""The training loop of students and teachers, for any number of processes and devices."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.train.loop import processes
from dpiqa.train.loop.checkpoint import Part, State
from dpiqa.train.loop.inference import load_batches, predict
from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.loop.memory import memory_advice
from dpiqa.train.loop.metrics import plcc, srcc
from dpiqa.train.loop.plots import plot_history
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import RunRecord

_MAX_SKIPPED = 50  # FP16's scaler finds its scale in fewer, unless no gradient is ever finite


class Frames(Protocol):
    """A data set of `(frames, *targets)`: uint8 `[H, W, 3]` frames, MOS and more; its random draws depend on `epoch`.

    `batches(batch, rng)` gives the indices `[steps, batch]` of an epoch. With `whole`, frames are not cropped.
    """

    epoch: int
    whole: bool

    def __len__(self) -> int: ...
    def batches(self, batch: int, rng: np.random.Generator, /) -> np.ndarray: ...  # noqa: D102
    def __getitem__(self, index: int, /) -> tuple[Tensor, ...]: ...


@memory_advice()
def fit(
    model: nn.Module,
    train: Frames,
    val: Frames,
    recipe: Recipe,
    out: Path,
    record: RunRecord,
    save_every: int = 50,
    loss: Callable[..., Tensor] = quality_loss,
    check: Callable[[nn.Module], dict[str, float]] = lambda _: {},
) -> Path:
    """Train `model`, keep the epoch with the best validation SRCC + PLCC, and return its checkpoint `out/best.pt`.

    `model(frames)` gives a tensor or a tuple of tensors for uint8 frames `[N, H, W, 3]`, and `loss(outputs, *targets)`
    their loss. Validation compares the first output with the first target, as scores `[N]` with MOS; `check` may add
    its own metrics to an epoch's row. `model.trunk` learns at its own rate. Several processes each take a part of every
    batch, but the loss sees the outputs of all of them, since ranking and correlation need the whole batch: it does not
    depend on the number of processes. (With `recipe.accumulate` it sees one part after the other.)

    Resumes from the checkpoint in `out`, and raises InputError if that is another run's. Every checkpoint contains
    `record`. The main process writes `log.csv`, `history.png` and both checkpoints, each atomically.
    """
    keep_freed_memory()
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise InputError("half precision (fp16) trains on a GPU only, use bf16 or fp32")
    accelerator = processes.accelerator(recipe.precision)
    step = _Step(accelerator, recipe, loss)
    model.to(accelerator.device).to(memory_format=torch.channels_last)
    ema = deepcopy(model).eval().requires_grad_(False) if recipe.ema else model
    optimizer = _optimizer(model, recipe)
    steps = len(train.batches(recipe.batch, np.random.default_rng(recipe.seed)))
    if steps == 0:
        raise InputError(
            f"{len(train)} training pictures do not fill one batch of {recipe.batch}, use a smaller --batch"
        )
    parts: dict[str, Part] = {"model": model, "ema": ema, "optimizer": optimizer}
    if accelerator.scaler:
        parts["scaler"] = accelerator.scaler
    state = State(parts, recipe, record)
    if latest := next((out / name for name in ("last.pt", "best.pt") if (out / name).exists()), None):
        state.load(latest)
    if len(set(gather_object([(state.epoch, state.step)]))) > 1:
        raise InputError(f"{out}: the processes see different checkpoints there; all must share one folder")
    parallel, optimizer = accelerator.prepare(model, optimizer)

    with _progress(disable=not accelerator.is_main_process) as progress:
        bar = progress.add_task(
            "training", total=recipe.epochs * steps, completed=state.epoch * steps + state.step, note=""
        )
        while state.epoch < recipe.epochs:
            batches = train.batches(recipe.batch, np.random.default_rng((recipe.seed, state.epoch)))[state.step :]
            train.epoch = state.epoch
            model.train()
            cropped = _first_whole(steps, recipe) - state.epoch * steps - state.step
            loader = _load(train, batches, max(cropped, 0), step)
            for _ in batches:
                began = time.perf_counter()
                done = state.epoch * steps + state.step
                torch.manual_seed(hash((recipe.seed, done)) + accelerator.process_index)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.lr * _schedule(done, steps, recipe) * group["share"]
                batch_loss = step(parallel, optimizer, loader)
                _require_finite("loss", batch_loss, state.epoch, out)
                if recipe.ema:
                    _update(ema, model, min(recipe.ema, (1 + done) / (10 + done)))
                state.step += 1
                state.loss_sum += batch_loss
                state.seconds += time.perf_counter() - began
                progress.update(bar, advance=1, note=f"epoch {state.epoch + 1}/{recipe.epochs} loss {batch_loss:.3f}")
                if state.step % save_every == 0 and accelerator.is_main_process:
                    state.save(out / "last.pt")
            score, mos = _validate(ema, val, step.part_size, accelerator)
            _require_finite("sum of validation scores", score.sum(), state.epoch, out)
            row = {"epoch": state.epoch + 1, "loss": state.loss_sum / steps, "val_srcc": srcc(score, mos),
                   "val_plcc": plcc(score, mos)} | check(ema) | {"train_seconds": round(state.seconds, 1)}  # fmt: skip
            state.end_epoch(row)
            if not accelerator.is_main_process:
                continue
            progress.console.print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
            with atomic_write(out / "log.csv") as file:
                pd.DataFrame(state.history).to_csv(file, index=False)
            plot_history(state.history, out / "history.png")
            if max(reversed(state.history), key=_selection) is row:  # of equals the latest
                state.save(out / "best.pt")
            state.save(out / "last.pt")
    accelerator.wait_for_everyone()
    return out / "best.pt"


@dataclass
class _Step:
    """One step of the optimizer on one batch, in parts and over all processes."""

    accelerator: Accelerator
    recipe: Recipe
    loss: Callable[..., Tensor]

    def __post_init__(self) -> None:
        self.parts, self.processes = self.recipe.accumulate, self.accelerator.num_processes
        self.skipped = 0  # consecutive steps that the gradient scaler skipped
        self.part_size, rest = divmod(self.recipe.batch, self.parts * self.processes)
        if rest or self.part_size * self.processes < 2:
            raise InputError(
                f"--batch {self.recipe.batch} does not divide into {self.parts} parts (--accumulate) of at least two "
                f"pictures over {self.processes} processes"
            )

    def parts_of(self, batches: np.ndarray) -> list[list[int]]:
        """Which of the pictures `[steps, batch]` this process takes, part by part."""
        parts = batches.reshape(-1, self.processes, self.part_size)
        return parts[:, self.accelerator.process_index].tolist()

    def __call__(self, model: nn.Module, optimizer: torch.optim.Optimizer, loader: Iterator[list[Tensor]]) -> float:
        """Learn from the next batch and return its loss; if that or the gradient is not finite, learn nothing."""
        device, total = self.accelerator.device, 0.0
        optimizer.zero_grad()
        for part in range(1, self.parts + 1):
            frames, *targets = (tensor.to(device) for tensor in next(loader))
            with nullcontext() if part == self.parts else self.accelerator.no_sync(model):
                outputs = model(frames)
                with self.accelerator.autocast():
                    loss = self.loss(self._gather(outputs), *map(self._gather, targets))
                total += loss.item() / self.parts
                if not math.isfinite(total):
                    return total
                # Processes average their gradients, and each gradient covers only its own pictures.
                self.accelerator.backward(loss * (self.processes / self.parts))
        norm = self.accelerator.clip_grad_norm_(model.parameters(), self.recipe.clip)
        if not self.accelerator.scaler and not (norm is None or norm.isfinite()):
            return math.nan
        optimizer.step()
        self.skipped = self.skipped + 1 if self.accelerator.optimizer_step_was_skipped else 0
        return total if self.skipped < _MAX_SKIPPED else math.nan

    def _gather(self, own: Any) -> Any:
        """The rows of all processes; gradients flow only into this process's own."""
        if self.processes == 1:
            return own
        if isinstance(own, tuple):
            return tuple(map(self._gather, own))
        rows = list(self.accelerator.gather(own.detach().contiguous()).split(len(own)))  # type: ignore[union-attr]
        rows[self.accelerator.process_index] = own
        return torch.cat(rows)


def _load(train: Frames, batches: np.ndarray, cropped: int, step: _Step) -> Iterator[list[Tensor]]:
    """This process's parts of batches `[steps, batch]`: so many steps as crops, the others as whole frames."""
    for whole, steps in ((False, batches[:cropped]), (True, batches[cropped:])):
        if len(steps):
            train.whole = whole
            # A generator of its own: a loader that begins amid the run would draw from the one that dropout draws from.
            yield from load_batches(train, batch_sampler=step.parts_of(steps), prefetch_factor=4,
                                    generator=torch.Generator())  # fmt: skip


def _first_whole(steps: int, recipe: Recipe) -> int:
    """The first step that takes whole frames, of a run with `steps` steps per epoch."""
    return math.ceil((1 - recipe.whole) * recipe.epochs * steps)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trunk = list(model.trunk.parameters())  # type: ignore[union-attr]
    in_trunk = {id(weight) for weight in trunk}
    others = [weight for weight in model.parameters() if id(weight) not in in_trunk]
    groups = [{"params": trunk, "share": recipe.trunk_lr}, {"params": others, "share": 1.0}]
    fused = next(model.parameters()).is_cuda  # saves a copy of all weights
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _validate(model: nn.Module, val: Frames, batch: int, accelerator: Accelerator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and MOS of all validation pictures, each process having scored its part."""
    own = range(accelerator.process_index, len(val), accelerator.num_processes)
    parts = gather_object([predict(model, Subset(cast("Dataset[Any]", val), own), batch)])
    score, mos = (np.concatenate(column) for column in zip(*parts, strict=True))
    return score, mos


def _require_finite(what: str, value: float, epoch: int, out: Path) -> None:
    """Stop a run that diverged before it writes another checkpoint."""
    if not math.isfinite(value):
        files = (out / name for name in ("best.pt", "last.pt"))
        earlier = next((f" ({file} is from before)" for file in files if file.exists()), "")
        raise InputError(
            f"the {what} is {value:g} in epoch {epoch + 1}{earlier}, train with a smaller --lr and another --out"
        )


def _selection(row: dict[str, float]) -> float:
    return row["val_srcc"] + row["val_plcc"]


def _schedule(step: int, steps: int, recipe: Recipe) -> float:
    """The fraction of the learning rate at a step, counted from 0, of a run with `steps` steps per epoch."""
    done = step / (recipe.epochs * steps)
    if recipe.milestones:
        return recipe.decay ** sum(done >= milestone for milestone in recipe.milestones)
    warmup = recipe.warmup
    return done / warmup if done < warmup else 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


@torch.no_grad()
def _update(ema: nn.Module, model: nn.Module, decay: float) -> None:
    for average, value in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory: without the page faults, a step on a CPU is up to 1.6 times as fast."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    trim_threshold, mmap_max = -1, -4
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(mmap_max, 0)


def _progress(disable: bool) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                    TimeRemainingColumn(), TextColumn("{task.fields[note]}"), disable=disable)  # fmt: skip


def pick_precision(bf16: bool | None) -> str:
    """bf16 or fp32 as requested or, with None, bf16 where the hardware multiplies bfloat16.

    Elsewhere PyTorch emulates it, slower than fp32.
    """
    if torch.cuda.is_available():
        in_hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        in_hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if (in_hardware if bf16 is None else bf16) else "fp32"

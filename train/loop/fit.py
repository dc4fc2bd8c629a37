"""The training loop of student and teacher: one recipe, one function, any number of processes and devices."""

from __future__ import annotations

import ctypes
import math
import os
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
from torch.utils.data import DataLoader, Dataset, Subset

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.train.loop import processes
from dpiqa.train.loop.checkpoint import Part, State
from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.loop.memory import memory_advice
from dpiqa.train.loop.metrics import plcc, srcc
from dpiqa.train.loop.plots import plot_history
from dpiqa.train.loop.recipe import Recipe

_MOST_SKIPPED = 50  # FP16's scaler finds its scale in fewer, unless no gradient is ever finite


class Frames(Protocol):
    """A data set of `(frames, *targets)`: uint8 `[H, W, 3]` frames, MOS and more; `epoch` changes its draws.

    `batches(batch, rng)` gives the indices `[steps, batch]` of an epoch.
    """

    epoch: int

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
    about: dict[str, Any],
    save_every: int = 50,
    loss: Callable[..., Tensor] = quality_loss,
    check: Callable[[nn.Module], dict[str, float]] = lambda _: {},
) -> Path:
    """Train `model`, keep the epoch with the best validation SRCC + PLCC, and return its checkpoint `out/best.pt`.

    `model(frames)` gives a tensor or a tuple of tensors for uint8 frames `[N, H, W, 3]`, and `loss(outputs, *targets)`
    judges them; validation compares the first output with the first target, as scores `[N]` with MOS, and `check` may
    add figures of its own to an epoch's row. `model.trunk` learns at its own rate. Over several processes each takes
    its part of every batch, but the loss sees the outputs of all, since ranking and correlation look at the whole
    batch: it is the same whatever their number. (With `recipe.accumulate` it looks at one part after the other.)

    Goes on from the checkpoint that is in `out`, and raises InputError where it is another run's. `about` (the model's
    configuration and what it is trained on) travels in every checkpoint. The main process writes `log.csv`,
    `history.png` and both checkpoints, each atomically.
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
    state = State(parts, recipe, about)
    if kept := next((out / name for name in ("last.pt", "best.pt") if (out / name).exists()), None):
        state.load(kept)
    if len(set(gather_object([(state.epoch, state.step)]))) > 1:
        raise InputError(f"{out}: the processes find other checkpoints there; it must be one folder that all share")
    parallel, optimizer = accelerator.prepare(model, optimizer)

    with _progress(disable=not accelerator.is_main_process) as progress:
        bar = progress.add_task(
            "training", total=recipe.epochs * steps, completed=state.epoch * steps + state.step, note=""
        )
        while state.epoch < recipe.epochs:
            batches = train.batches(recipe.batch, np.random.default_rng((recipe.seed, state.epoch)))[state.step :]
            train.epoch = state.epoch
            model.train()
            loader = iter(load_batches(train, batch_sampler=step.own_parts(batches), prefetch_factor=4))
            for _ in batches:
                began = time.perf_counter()
                done = state.epoch * steps + state.step
                torch.manual_seed(hash((recipe.seed, done)) + accelerator.process_index)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.lr * _schedule(done, steps, recipe) * group["share"]
                found = step(parallel, optimizer, loader)
                _require_finite("loss", found, state.epoch, out)
                if recipe.ema:
                    _update(ema, model, min(recipe.ema, (1 + done) / (10 + done)))
                state.step += 1
                state.loss_sum += found
                state.seconds += time.perf_counter() - began
                progress.update(bar, advance=1, note=f"epoch {state.epoch + 1}/{recipe.epochs} loss {found:.3f}")
                if state.step % save_every == 0 and accelerator.is_main_process:
                    state.save(out / "last.pt")
            score, mos = _validate(ema, val, step.share, accelerator)
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


def predict(model: nn.Module, frames: Frames | Dataset[Any], batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Score whole frames: float `[N]` scores and float `[N]` MOS, in the data set's order."""
    scores, targets = [np.empty(0)], [np.empty(0)]
    for (score, *_), (mos, *_) in answers(model, frames, batch):
        scores.append(score.double().numpy())
        targets.append(mos.double().numpy())
    return np.concatenate(scores), np.concatenate(targets)


@torch.inference_mode()
def answers(
    model: nn.Module, frames: Frames | Dataset[Any], batch: int = 16
) -> Iterator[tuple[tuple[Tensor, ...], list[Tensor]]]:
    """All outputs of a model for whole frames, on the CPU, and all targets, batch by batch in the data set's order."""
    model.eval()
    device = next(model.parameters()).device
    for pictures, *targets in load_batches(frames, batch_size=batch):
        outputs = model(pictures.to(device))
        yield tuple(output.cpu() for output in (outputs if isinstance(outputs, tuple) else (outputs,))), targets


@dataclass
class _Step:
    """One step of the optimizer on one batch, in parts and over all processes."""

    accelerator: Accelerator
    recipe: Recipe
    loss: Callable[..., Tensor]

    def __post_init__(self) -> None:
        self.parts, self.processes = self.recipe.accumulate, self.accelerator.num_processes
        self.skipped = 0  # steps one after the other that the gradient scaler left out
        self.share, rest = divmod(self.recipe.batch, self.parts * self.processes)
        if rest or self.share * self.processes < 2:
            raise InputError(
                f"--batch {self.recipe.batch} does not divide into {self.parts} parts (--accumulate) of at least two "
                f"pictures over {self.processes} processes"
            )

    def own_parts(self, batches: np.ndarray) -> list[list[int]]:
        """Which of the pictures `[steps, batch]` this process takes, part by part."""
        shares = batches.reshape(-1, self.processes, self.share)
        return shares[:, self.accelerator.process_index].tolist()

    def __call__(self, model: nn.Module, optimizer: torch.optim.Optimizer, loader: Iterator[list[Tensor]]) -> float:
        """Learn from the next batch and return its loss; where that or the gradient is not finite, learn nothing."""
        device, total = self.accelerator.device, 0.0
        optimizer.zero_grad()
        for part in range(1, self.parts + 1):
            frames, *targets = (tensor.to(device) for tensor in next(loader))
            with nullcontext() if part == self.parts else self.accelerator.no_sync(model):
                outputs = model(frames)
                with self.accelerator.autocast():
                    found = self.loss(self._whole(outputs), *map(self._whole, targets))
                total += found.item() / self.parts
                if not math.isfinite(total):
                    return total
                # Several processes average their gradients, each of which holds its own pictures' share of the loss.
                self.accelerator.backward(found * (self.processes / self.parts))
        norm = self.accelerator.clip_grad_norm_(model.parameters(), self.recipe.clip)
        if not self.accelerator.scaler and not (norm is None or norm.isfinite()):
            return math.nan
        optimizer.step()
        self.skipped = self.skipped + 1 if self.accelerator.optimizer_step_was_skipped else 0
        return total if self.skipped < _MOST_SKIPPED else math.nan

    def _whole(self, own: Any) -> Any:
        """The rows of all processes; gradient flows into the own ones."""
        if self.processes == 1:
            return own
        if isinstance(own, tuple):
            return tuple(map(self._whole, own))
        rows = list(self.accelerator.gather(own.detach().contiguous()).split(len(own)))  # type: ignore[union-attr]
        rows[self.accelerator.process_index] = own
        return torch.cat(rows)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trunk = list(model.trunk.parameters())  # type: ignore[union-attr]
    known = {id(weight) for weight in trunk}
    others = [weight for weight in model.parameters() if id(weight) not in known]
    groups = [{"params": trunk, "share": recipe.trunk_lr}, {"params": others, "share": 1.0}]
    fused = next(model.parameters()).is_cuda  # spares a copy of all weights
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _validate(model: nn.Module, val: Frames, batch: int, accelerator: Accelerator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and MOS of all processes' parts of the validation pictures."""
    own = range(accelerator.process_index, len(val), accelerator.num_processes)
    found = gather_object([predict(model, Subset(cast("Dataset[Any]", val), own), batch)])
    score, mos = (np.concatenate(column) for column in zip(*found, strict=True))
    return score, mos


def _require_finite(what: str, value: float, epoch: int, out: Path) -> None:
    """Stop a run that diverged before it writes another checkpoint."""
    if not math.isfinite(value):
        kept = next((f" ({out / name} is from before)" for name in ("best.pt", "last.pt") if (out / name).exists()), "")
        raise InputError(
            f"the {what} is {value:g} in epoch {epoch + 1}{kept}, train with a smaller --lr and another --out"
        )


def _selection(row: dict[str, float]) -> float:
    return row["val_srcc"] + row["val_plcc"]


def _schedule(step: int, steps: int, recipe: Recipe) -> float:
    """The share of the learning rate at a step, counted from 0, of a run with so many steps an epoch."""
    done = step / (recipe.epochs * steps)
    if recipe.milestones:
        return recipe.decay ** sum(done >= milestone for milestone in recipe.milestones)
    warmup = recipe.warmup
    return done / warmup if done < warmup else 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


@torch.no_grad()
def _update(ema: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def load_batches(frames: Any, **options: Any) -> DataLoader[Any]:
    """A loader with as many workers as the machine has room for."""
    return DataLoader(frames, num_workers=min(4, max(1, (os.cpu_count() or 1) // 2)), **options)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: without the page faults a step on a CPU is up to 1.6 times as fast."""
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
    """Mixed precision as asked for or, with None, where the machine multiplies bfloat16 in hardware.

    Elsewhere PyTorch emulates it, slower than fp32.
    """
    if torch.cuda.is_available():
        helps = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        helps = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if (helps if bf16 is None else bf16) else "fp32"

"""The training loop: one recipe, one function, a checkpoint from which it goes on exactly where it was killed."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from runtime.errors import InputError
from runtime.files import atomic_write

from .frames import RatedFrames
from .losses import quality_loss
from .metrics import plcc, srcc
from .plots import plot_history


@dataclass(frozen=True)
class Recipe:
    """All numbers that a training run depends on; a resumed run must use the same ones.

    `trunk_lr` is the share of `lr` at which the pretrained trunk learns.
    """

    epochs: int = 2
    batch: int = 32
    crop: int = 256
    lr: float = 1e-3
    trunk_lr: float = 0.2
    weight_decay: float = 1e-2
    warmup: float = 0.05
    ema: float = 0.998
    clip: float = 5.0
    seed: int = 0
    bf16: bool = False


def fit(
    model: nn.Module,
    train: RatedFrames,
    val: RatedFrames,
    recipe: Recipe,
    out: Path,
    about: dict[str, Any],
    save_every: int = 50,
    loss: Callable[[Tensor, Tensor], Tensor] = quality_loss,
) -> Path:
    """Train `model`, keep the epoch with the best validation SRCC + PLCC, and return its checkpoint `out/best.pt`.

    Goes on from `out/last.pt` when it is there. `about` (the model's configuration and what it is trained on) travels
    in every checkpoint; `loss` takes float `[N]` scores and MOS. Writes `log.csv`, `history.png` and both checkpoints
    to `out`, each atomically.
    """
    _keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).to(memory_format=torch.channels_last)
    ema = deepcopy(model).eval().requires_grad_(False)
    trunk, head = (model.get_submodule(name).parameters() for name in ("trunk", "head"))
    groups = [{"params": trunk, "share": recipe.trunk_lr}, {"params": head, "share": 1.0}]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    steps = len(train) // recipe.batch
    if steps == 0:
        raise InputError(
            f"{len(train)} training pictures do not fill one batch of {recipe.batch}, use a smaller --batch"
        )
    state = _State(model, ema, optimizer, recipe, about)
    if (out / "last.pt").exists():
        state.load(out / "last.pt", device)

    with _progress() as progress:
        bar = progress.add_task(
            "training", total=recipe.epochs * steps, completed=state.epoch * steps + state.step, note=""
        )
        while state.epoch < recipe.epochs:
            order = np.random.default_rng((recipe.seed, state.epoch)).permutation(len(train))
            batches = order[: steps * recipe.batch].reshape(steps, recipe.batch)[state.step :].tolist()
            train.epoch = state.epoch
            model.train()
            for frames, mos in _loader(train, batch_sampler=batches, prefetch_factor=4):
                began = time.perf_counter()
                done = state.epoch * steps + state.step
                torch.manual_seed(hash((recipe.seed, done)))
                for group in optimizer.param_groups:
                    rate = recipe.lr * _schedule(done / (recipe.epochs * steps), recipe.warmup)
                    group["lr"] = rate * group["share"]
                with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
                    found = loss(model(frames.to(device)), mos.to(device))
                if not found.isfinite():
                    raise InputError(f"the loss is {found:g} in epoch {state.epoch + 1}, train with a smaller --lr")
                optimizer.zero_grad()
                found.backward()
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
                optimizer.step()
                _update(ema, model, min(recipe.ema, (1 + done) / (10 + done)))
                state.step += 1
                state.loss_sum += found.item()
                state.seconds += time.perf_counter() - began
                progress.update(bar, advance=1, note=f"epoch {state.epoch + 1}/{recipe.epochs} loss {found.item():.3f}")
                if state.step % save_every == 0:
                    state.save(out / "last.pt")
            score, mos = predict(ema, val, recipe.batch)
            row = {"epoch": state.epoch + 1, "loss": state.loss_sum / steps, "val_srcc": srcc(score, mos),
                   "val_plcc": plcc(score, mos), "train_seconds": round(state.seconds, 1)}  # fmt: skip
            progress.console.print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
            state.end_epoch(row)
            with atomic_write(out / "log.csv") as file:
                pd.DataFrame(state.history).to_csv(file, index=False)
            plot_history(state.history, out / "history.png")
            if max(state.history, key=_selection) is row:
                state.save(out / "best.pt")
            state.save(out / "last.pt")
    return out / "best.pt"


@torch.inference_mode()
def predict(model: nn.Module, frames: RatedFrames, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Score whole frames: float `[N]` scores and float `[N]` MOS, in the data set's order."""
    model.eval()
    device = next(model.parameters()).device
    parts = [(model(x.to(device)).cpu(), mos) for x, mos in _loader(frames, batch_size=batch)]
    score, mos = (torch.cat(column).double().numpy() for column in zip(*parts, strict=True))
    return score, mos


class _State:
    """Everything that must survive a SIGKILL for the rest of the run to be the same."""

    def __init__(
        self, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, about: dict
    ) -> None:
        self.parts = {"model": model, "ema": ema, "optimizer": optimizer}
        self.recipe, self.about = asdict(recipe), about
        self.epoch = self.step = 0
        self.loss_sum = self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def end_epoch(self, row: dict[str, float]) -> None:
        self.history.append(row)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0

    def save(self, path: Path) -> None:
        whole = {name: part.state_dict() for name, part in self.parts.items()}
        whole |= {name: value for name, value in vars(self).items() if name != "parts"}
        temporary = path.with_suffix(".tmp")
        torch.save(whole, temporary)
        os.replace(temporary, path)

    def load(self, path: Path, device: torch.device) -> None:
        whole = torch.load(path, map_location=device, weights_only=True)
        for name in ("recipe", "about"):
            if whole[name] != getattr(self, name):
                raise InputError(
                    f"{path} was written with another recipe, model or data; choose another --out to start anew"
                )
        for name, part in self.parts.items():
            part.load_state_dict(whole[name])
        for name in ("epoch", "step", "loss_sum", "seconds", "history"):
            setattr(self, name, whole[name])


def _selection(row: dict[str, float]) -> float:
    return row["val_srcc"] + row["val_plcc"]


def _schedule(done: float, warmup: float) -> float:
    """Linear warm-up, then a half cosine to zero; both `done` and the result are shares of one."""
    return done / warmup if done < warmup else 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


@torch.no_grad()
def _update(ema: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _loader(frames: RatedFrames, **options: Any) -> DataLoader:
    return DataLoader(frames, num_workers=min(4, max(1, (os.cpu_count() or 1) // 2)), **options)


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed: without the page faults a step on a CPU is up to 1.6 times as fast."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    trim_threshold, mmap_max = -1, -4
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(mmap_max, 0)


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                    TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip


def bf16_helps() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; elsewhere PyTorch emulates it, slower than fp32."""
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

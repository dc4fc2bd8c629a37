"""Trains a teacher until it is told to stop, or kills itself; teacher.py runs it.

Every finished step is a line of `--log`. The steps are those of train.loop: the loss is where this looks on from.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from subjects import Subject, diffusion, vit
from torch import Tensor

from dpiqa.train.loop.fit import fit
from dpiqa.train.loop.record import RunRecord, TeacherConfig

NEVER = 10**9


@dataclass(frozen=True)
class End:
    """Before which step the process ends or is killed, and when (seconds since 1970) it ends anyway."""

    until: int
    kill_at: int
    time: float


class Watch:
    """A loss, which also writes down every step, and ends the process where it is told to."""

    def __init__(self, log: Path, subject: Subject, end: End) -> None:
        self._log = log.open("w")
        self._loss, self._parts, self._pictures = subject.loss, subject.recipe.accumulate, subject.recipe.batch
        self._end = end
        # train.loop seeds every step by its number: the number can be read off the seed, also in a resumed run
        self._numbers = {hash((subject.recipe.seed, step)) % 2**64: step for step in range(subject.steps)}
        self._losses: list[float] = []
        self._began = 0.0

    def write(self, kind: str, **values: Any) -> None:
        """A line of the log, on its way at once."""
        self._log.write(json.dumps({"kind": kind} | values) + "\n")
        self._log.flush()

    def __call__(self, outputs: tuple[Tensor, Tensor], mos: Tensor) -> Tensor:
        """See train.loop.fit."""
        if len(self._losses) in (0, self._parts):
            self._begin_step(self._numbers[torch.initial_seed() % 2**64])
        loss = self._loss(outputs, mos)
        self._losses.append(loss.item())
        return loss

    def _begin_step(self, step: int) -> None:
        now = time.perf_counter()
        if self._losses:
            self.write("step", step=step - 1, loss=sum(self._losses) / self._parts, seconds=now - self._began,
                       pictures=self._pictures)  # fmt: skip
            self._write_memory()
        self._losses = []
        self._began = now
        if step >= self._end.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step >= self._end.until or time.time() > self._end.time:
            os._exit(0)

    def _write_memory(self) -> None:
        peaks = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        if torch.cuda.is_available():
            peaks |= {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
        self.write("memory", **{f"peak_{name}_gb": peak / 1e9 for name, peak in peaks.items()})


def main() -> None:
    """Build, fill, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prior", choices=("sd15", "vit-s"), default="sd15")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--until", type=int, default=NEVER)
    parser.add_argument("--save-at", type=int, default=NEVER)
    parser.add_argument("--kill-at", type=int, default=NEVER)
    parser.add_argument("--end", type=float, default=math.inf)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.prior == "sd15":
        subject = diffusion(device, options.tiny)
    else:
        subject = vit(options.tiny, options.pictures, options.weights)
    teacher: Any = subject.teacher
    side = teacher.input.height
    recipe = replace(subject.recipe, epochs=1, crop=side, precision="bf16" if device == "cuda" else "fp32")
    watch = Watch(options.log, subject, End(options.until, options.kill_at, options.end))
    watch.write("about", parameters=sum(weight.numel() for weight in teacher.parameters()),
                build_s=time.perf_counter() - began, side_pixels=side, batch=recipe.batch,
                accumulate=recipe.accumulate, precision=recipe.precision, ema=recipe.ema, **subject.facts)  # fmt: skip
    record = RunRecord(teacher=TeacherConfig(**teacher.config), input=teacher.input, trained_on=())
    fit(teacher, subject.frames, subject.frames, recipe, options.out, record, options.save_at, watch)


if __name__ == "__main__":
    main()

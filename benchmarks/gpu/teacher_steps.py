"""Trains the full-size teacher on noise until it is told to stop, or kills itself; teacher.py runs it.

Every finished step is a line of `--log`. The steps are those of train.loop: the loss is where this looks on from.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpiqa.train.loop.fit import fit
from dpiqa.train.loop.losses import paper_loss
from dpiqa.train.loop.record import RunRecord, TeacherConfig
from dpiqa.train.teachers.model import Teacher
from dpiqa.train.teachers.schedules import diffusion_recipe
from dpiqa.train.teachers.stable_diffusion import StableDiffusionPrior

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "train"))
full_size: Any = import_module("full_size")  # the shape, which the tests have as well

STEPS_AN_EPOCH = 40  # more than are ever made: an epoch would end with a validation
NEVER = 10**9


class Noise:
    """Pictures of noise with made-up ratings."""

    epoch, whole = 0, False

    def __init__(self, side: int, count: int) -> None:
        self._side, self._count = side, count

    def __len__(self) -> int:
        return self._count

    def batches(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """See train.loop.Frames."""
        return rng.permutation(self._count)[: self._count // batch * batch].reshape(-1, batch)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(index)
        frame = rng.integers(0, 256, (self._side, self._side, 3), dtype=np.uint8)
        return torch.from_numpy(frame), torch.tensor(rng.uniform(0, 100), dtype=torch.float32)


class Watch:
    """The paper's loss, which also writes down every step, and ends the process where it is told to."""

    def __init__(self, log: Path, parts: int, pictures: int, seed: int, until: int, kill_at: int) -> None:
        self._log = log.open("w")
        self._parts, self._pictures = parts, pictures
        self._until, self._kill_at = until, kill_at
        # train.loop seeds every step by its number: the number can be read off the seed, also in a resumed run
        self._numbers = {hash((seed, step)) % 2**64: step for step in range(STEPS_AN_EPOCH)}
        self._losses: list[float] = []
        self._began = 0.0

    def write(self, kind: str, **values: Any) -> None:
        """A line of the log, on its way at once."""
        self._log.write(json.dumps({"kind": kind} | values) + "\n")
        self._log.flush()

    def __call__(self, outputs: tuple[Tensor, Tensor], mos: Tensor) -> Tensor:
        """See train.losses.paper_loss."""
        if len(self._losses) in (0, self._parts):
            self._begin_step(self._numbers[torch.initial_seed() % 2**64])
        loss = paper_loss(outputs[0], mos)
        self._losses.append(loss.item())
        return loss

    def _begin_step(self, step: int) -> None:
        now = time.perf_counter()
        if self._losses:
            self.write("step", step=step - 1, loss=sum(self._losses) / self._parts, seconds=now - self._began,
                       pictures=self._pictures)  # fmt: skip
            if torch.cuda.is_available():
                self.write("memory", peak_allocated_gb=torch.cuda.max_memory_allocated() / 1e9,
                           peak_reserved_gb=torch.cuda.max_memory_reserved() / 1e9)  # fmt: skip
        self._losses = []
        self._began = now
        if step >= self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step >= self._until:
            os._exit(0)


def small() -> Teacher:
    """The same parts with few channels, on the meta device."""
    with torch.device("meta"):
        unet = full_size.UNet2DConditionModel(
            **full_size.UNET | {"block_out_channels": [32, 32, 64, 64], "cross_attention_dim": 32, "sample_size": 8}
        )
        vae = full_size.AutoencoderKL(**full_size.VAE | {"block_out_channels": [32] * 4, "sample_size": 64})
        prior = StableDiffusionPrior(unet, vae, torch.empty(495, 32), 64)
        prior.config = {"prior": "sd15"}
        return Teacher(prior, 64, 8)


def main() -> None:
    """Build, fill, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--save-at", type=int, default=NEVER)
    parser.add_argument("--kill-at", type=int, default=NEVER)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    teacher: Any = (small() if options.tiny else full_size.full_size()).to_empty(device=device)
    for network in (teacher, teacher.prior.vae.net):
        full_size.fill(network)
    teacher.prior.prompts.normal_()
    teacher.prior.checkpoint_gradients()
    recipe = replace(diffusion_recipe("koniq10k"), epochs=1, accumulate=4, crop=teacher.input.height,
                     precision="bf16" if device == "cuda" else "fp32")  # fmt: skip
    watch = Watch(options.log, recipe.accumulate, recipe.batch, recipe.seed, options.until, options.kill_at)
    watch.write("about", parameters=sum(weight.numel() for weight in teacher.parameters()),
                build_s=time.perf_counter() - began, side_pixels=teacher.input.height, batch=recipe.batch,
                accumulate=recipe.accumulate, precision=recipe.precision, ema=recipe.ema)  # fmt: skip
    record = RunRecord(teacher=TeacherConfig(**teacher.config), input=teacher.input, trained_on=())
    frames = Noise(teacher.input.height, STEPS_AN_EPOCH * recipe.batch)
    fit(teacher, frames, frames, recipe, options.out, record, options.save_at, watch)


if __name__ == "__main__":
    main()

"""Optimizer steps of a teacher; killed on the way, it goes on where it was.

    python benchmarks/gpu/teacher.py --out teacher.json [--prior vit-s] [--room FOLDER]

Twenty of the full-size one on made-up pictures: Stable Diffusion 1.5's shape with random weights, 512x512, batch 16 in
four parts, bf16, gradient checkpointing. Or as many of one on ViT-S/14 as the time allows. Both through the training
loop itself, in processes of their own, the first of which ends by SIGKILL. On a CPU, small settings show that it runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import Part


@dataclass(frozen=True)
class Plan:
    """After how many steps a checkpoint is written, and after how many the run is killed.

    The second run ends after `steps` or, where that is None, when the time is over.
    """

    steps: int | None
    saved_at: int
    killed_at: int
    checkpoint_gb: float  # weights, their average and Adam's two moments, in FP32


PLANS = {"sd15": Plan(20, 10, 12, 17), "vit-s": Plan(None, 10, 12, 0.5)}
TINY = Plan(4, 2, 3, 0.5)
TINY_TEXT = {
    "sd15": "the full-size teacher: PyTorch finds no GPU; a small one on the CPU",
    "vit-s": "ViT-S/14 at 448 pixels: PyTorch finds no GPU; at 56 pixels on the CPU",
}
CHILD = Path(__file__).with_name("teacher_steps.py")
MOST_LOSSES = 20


def room(wanted: Path | None, gigabytes: float) -> Path | None:
    """A folder in which a checkpoint fits, in memory where there is one."""
    for folder in filter(None, (wanted, Path("/dev/shm"), Path(tempfile.gettempdir()))):
        if folder.is_dir() and shutil.disk_usage(folder).free > 1.3 * gigabytes * 1e9:
            return folder
    return None


class Run:
    """A child that trains, and what it wrote down, step by step."""

    def __init__(self, out: Path, name: str, *options: str) -> None:
        self.log, self._errors = out / f"{name}.jsonl", out / f"{name}.err"
        command = [sys.executable, str(CHILD), "--out", str(out), "--log", str(self.log), *options]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=errors, stderr=errors)

    def wait(self, seconds: float) -> str:
        """How it ended."""
        try:
            code = self._process.wait(max(seconds, 1))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"was ended after {seconds:.0f} s, its time limit"
        return {0: "done", -signal.SIGKILL: "killed"}.get(code, f"failed with {code}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """What it wrote down of a kind; the last line may be cut off."""
        rows = []
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["kind"] == kind:
                rows.append(row)
        return rows


def step_metrics(run: Run, plan: Plan) -> dict[str, Any]:
    """Seconds a step, the first left out, memory, and losses: of many, the means of equal stretches."""
    steps = run.rows("step")
    usual = [row["seconds"] for row in steps[1:] if row["step"] != plan.saved_at - 1]
    stretch = -(-len(steps) // MOST_LOSSES) or 1
    losses = [[row["loss"] for row in steps[n : n + stretch]] for n in range(0, len(steps), stretch)]
    metrics: dict[str, Any] = {"steps": len(steps), "losses": [round(statistics.mean(part), 5) for part in losses]}
    if usual:
        median = statistics.median(usual)
        pictures = steps[0]["pictures"]
        metrics |= {"median_s_per_step": median, "slowest_s_per_step": max(usual), "pictures_per_s": pictures / median}
    for row in run.rows("memory"):
        metrics |= {name: value for name, value in row.items() if name != "kind"}
    return metrics


def compare(before: Run, after: Run) -> dict[str, Any]:
    """The steps that both made: the killed one after its checkpoint, the resumed one from it."""
    killed = {row["step"]: row["loss"] for row in before.rows("step")}
    resumed = {row["step"]: row["loss"] for row in after.rows("step")}
    both = sorted(killed.keys() & resumed.keys())
    metrics: dict[str, Any] = {"resumed_at_step": min(resumed, default=None), "steps_made_twice": both}
    if both:
        metrics["largest_loss_difference"] = max(abs(killed[step] - resumed[step]) for step in both)
        metrics["loss_there"] = killed[both[0]]
    return metrics


def main() -> None:
    """The first run up to its death, then the one that goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", choices=list(PLANS), default="sd15")
    parser.add_argument("--pictures", type=Path, help="Of vit-s: photographs to learn from.")
    parser.add_argument("--weights", type=Path, help="Of vit-s: a .safetensors file in timm's names.")
    parser.add_argument("--room", type=Path, help="Where the checkpoint goes, 17 GB of sd15.")
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    part = Part(options.out)
    import torch  # late: a machine without it gets its sentence from the shell script

    plan, subject = PLANS[options.prior], ["--prior", options.prior]
    for name in ("pictures", "weights"):
        if value := getattr(options, name):
            subject += [f"--{name}", str(value)]
    if not torch.cuda.is_available():
        part.leave_out(TINY_TEXT[options.prior])
        plan, subject = TINY, [*subject, "--tiny"]
    prove(part, plan, subject, room(options.room, plan.checkpoint_gb), end)


def prove(part: Part, plan: Plan, subject: list[str], folder: Path | None, end: float) -> None:
    """Both runs, or one alone where there is no room for a checkpoint, into the part."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="teacher-") as place:
        out = Path(place)
        if folder is None:
            part.leave_out(f"kill and resume: no folder with room for a checkpoint of {plan.checkpoint_gb} GB")
            only = Run(out, "only", *subject, *until(plan, end))
            part.set(run=only.wait(end - time.monotonic()), **step_metrics(only, plan))
            part.set(passed=part.results["run"] == "done")
            return
        stops = ["--save-at", str(plan.saved_at), "--kill-at", str(plan.killed_at)]
        first = Run(out, "first", *subject, *stops)
        ended = first.wait((end - time.monotonic()) * 0.65)
        part.set(first_run=ended, **step_metrics(first, plan), about=next(iter(first.rows("about")), {}))
        kept = out / "last.pt"
        if not kept.exists():
            part.leave_out(f"resume: the first run left no checkpoint, it {ended}")
            part.set(passed=False)
            return
        steps = {row["step"]: row["seconds"] for row in first.rows("step")}
        save_s = steps.get(plan.saved_at - 1, 0) - part.results.get("median_s_per_step", 0)
        part.set(checkpoint_gb=kept.stat().st_size / 1e9, save_s=save_s, checkpoint_in=str(folder))
        second = Run(out, "second", *subject, *until(plan, end))
        ended = second.wait(end - time.monotonic())
        part.set(second_run=ended, resumed=step_metrics(second, plan), resume=compare(first, second))
        last = part.results["resume"]
        close = last.get("largest_loss_difference", 1.0) <= 0.02 * max(abs(last.get("loss_there", 0)), 0.05)
        as_planned = (
            part.results["first_run"] == "killed" and ended == "done" and last["resumed_at_step"] == plan.saved_at
        )
        part.set(passed=as_planned and close)


def until(plan: Plan, end: float) -> list[str]:
    """The options that end a run: its steps, or the time, less what the last step may take."""
    if plan.steps is None:
        return ["--end", str(time.time() + end - time.monotonic() - 5)]
    return ["--until", str(plan.steps)]


if __name__ == "__main__":
    main()

"""Twenty optimizer steps of the full-size teacher on made-up pictures; killed on the way, it goes on where it was.

    python benchmarks/gpu/teacher.py --out teacher.json [--room FOLDER]

Stable Diffusion 1.5's shape with random weights, 512x512, batch 16 in four parts, bf16, gradient checkpointing: through
the training loop itself, in processes of their own, the first of which ends by SIGKILL. On a CPU, a small network shows
that it runs.
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
    """How many steps there are, after which of them a checkpoint is written, and after which the run is killed."""

    steps: int
    saved_at: int
    killed_at: int


FULL, TINY = Plan(20, 10, 12), Plan(6, 3, 5)
CHECKPOINT_GB = 17  # weights, their average and Adam's two moments, in FP32
CHILD = Path(__file__).with_name("teacher_steps.py")


def room(wanted: Path | None) -> Path | None:
    """A folder in which a checkpoint fits, in memory where there is one."""
    for folder in filter(None, (wanted, Path("/dev/shm"), Path(tempfile.gettempdir()))):
        if folder.is_dir() and shutil.disk_usage(folder).free > 1.3 * CHECKPOINT_GB * 1e9:
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
    """Seconds a step, the first left out, and memory."""
    steps = run.rows("step")
    usual = [row["seconds"] for row in steps[1:] if row["step"] != plan.saved_at - 1]
    metrics: dict[str, Any] = {"steps": len(steps), "losses": [round(row["loss"], 5) for row in steps]}
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
    parser.add_argument("--room", type=Path, help="Where the checkpoint of 17 GB goes.")
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    part = Part(options.out)
    import torch  # late: a machine without it gets its sentence from the shell script

    tiny = not torch.cuda.is_available()
    if tiny:
        part.leave_out("the full-size teacher: PyTorch finds no GPU; a small one on the CPU")
    plan = TINY if tiny else FULL
    folder = options.room or Path(tempfile.gettempdir()) if tiny else room(options.room)
    size = ["--tiny"] if tiny else []
    with tempfile.TemporaryDirectory(dir=folder, prefix="teacher-") as place:
        out = Path(place)
        if folder is None:
            part.leave_out(f"kill and resume: no folder with room for a checkpoint of {CHECKPOINT_GB} GB")
            only = Run(out, "only", *size, "--until", str(plan.steps))
            part.set(run=only.wait(end - time.monotonic()), **step_metrics(only, plan))
            part.set(passed=part.results["run"] == "done")
            return
        first = Run(
            out,
            "first",
            *size,
            "--until",
            str(plan.steps),
            "--save-at",
            str(plan.saved_at),
            "--kill-at",
            str(plan.killed_at),
        )
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
        second = Run(out, "second", *size, "--until", str(plan.steps))
        ended = second.wait(end - time.monotonic())
        part.set(second_run=ended, resumed=step_metrics(second, plan), resume=compare(first, second))
        last = part.results["resume"]
        close = last.get("largest_loss_difference", 1.0) <= 0.02 * max(abs(last.get("loss_there", 0)), 0.05)
        as_planned = (
            part.results["first_run"] == "killed" and ended == "done" and last["resumed_at_step"] == plan.saved_at
        )
        part.set(passed=as_planned and close)


if __name__ == "__main__":
    main()

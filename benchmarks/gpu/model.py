"""The shipped student in PyTorch on the GPU: parity with ONNX Runtime on the CPU, latency and pictures a second.

    python benchmarks/gpu/model.py --out model.json [--pictures FOLDER]

Without a folder of photographs the pictures are made up. On a CPU, a small setting shows that it runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parts import Part
from reference import MODEL, compare, pictures_of, reference_of, tensor_of
from torch import Tensor, nn

from dpiqa.train.students.files import build_student, load_packed
from dpiqa.train.students.model import Student

FRAMES_A_SECOND = 25
ALLOWED_POINTS = 0.1  # between engines that compute in FP32


@dataclass(frozen=True)
class Precision:
    """What the trunk computes in; pooling and heads are in FP32 always."""

    name: str
    dtype: torch.dtype
    tf32: bool = False

    def use(self) -> None:
        """Let matrix products of FP32 numbers be rounded to TF32, or not."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32


PRECISIONS = (
    Precision("fp32", torch.float32),
    Precision("fp16", torch.float16),
    Precision("bf16", torch.bfloat16),
    Precision("tf32", torch.float32, tf32=True),
)


class Deployed(nn.Module):
    """A student whose trunk computes in one precision and whose pooling and heads do in FP32."""

    def __init__(self, student: Student, precision: Precision) -> None:
        super().__init__()
        self.student, self.precision = student.float(), precision
        self.student.trunk.to(dtype=precision.dtype, memory_format=torch.channels_last)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """All outputs by name for uint8 RGB frames `[N, H, W, 3]`."""
        student = self.student
        pixels = (frames.permute(0, 3, 1, 2).float() - student.mean) / student.std
        pixels = pixels.to(dtype=self.precision.dtype, memory_format=torch.channels_last)
        top, levels = student.trunk.forward_intermediates(pixels, indices=4)
        judged = student.forward_heads([level.float() for level in (*levels, top)])
        return dict(zip(student.outputs, judged, strict=True))


@torch.inference_mode()
def answers(model: Deployed, frames: np.ndarray, device: str) -> dict[str, np.ndarray]:
    """All outputs for the frames, eight at a time."""
    rows = [model(torch.from_numpy(frames[i : i + 8]).to(device)) for i in range(0, len(frames), 8)]
    return {name: np.concatenate([row[name].cpu().numpy() for row in rows]) for name in rows[0]}


def captured(model: Deployed, frames: Tensor) -> Callable[[], Any]:
    """One inference as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model(frames)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(frames)
    return graph.replay


def times_ms(run: Callable[[], Any], repeats: int, device: str) -> np.ndarray:
    """Milliseconds of each of so many runs, on a GPU between two events."""
    if device == "cpu":
        ticks = [time.perf_counter()]
        for _ in range(repeats):
            run()
            ticks.append(time.perf_counter())
        return np.diff(ticks) * 1000
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for began, ended in pairs:
        began.record()
        run()
        ended.record()
    torch.cuda.synchronize()
    return np.array([began.elapsed_time(ended) for began, ended in pairs])


@torch.inference_mode()
def speed(model: Deployed, frames: np.ndarray, batch: int, repeats: int, device: str) -> dict[str, Any]:
    """Latency of a batch that is on the device, and what follows from it."""
    rows = torch.from_numpy(np.resize(frames, (batch, *frames.shape[1:]))).to(device)

    def plain() -> None:
        model(rows)

    run = plain if device == "cpu" else captured(model, rows)
    times_ms(run, 3, device)
    took = times_ms(run, repeats, device)
    a_second = batch * 1000 / float(took.mean())
    return {
        "precision": model.precision.name,
        "batch": batch,
        "cuda_graph": device != "cpu",
        "repeats": repeats,
        "p50_ms": float(np.percentile(took, 50)),
        "p99_ms": float(np.percentile(took, 99)),
        "pictures_per_s": a_second,
        f"cameras_at_{FRAMES_A_SECOND}_fps": int(a_second / FRAMES_A_SECOND),
    }


def main() -> None:
    """Parity first, then speed, FP16 first, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    part = Part(options.out)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    count, batches, repeats = options.count, [1, 2, 4, 8, 16, 32, 64], 50
    if device == "cpu":
        part.leave_out("model on a GPU: PyTorch finds none; 8 pictures on the CPU, without CUDA graphs")
        count, batches, repeats = 8, [1, 2], 3
    student, record = load_packed(MODEL, None)
    spec = record.input
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    part.set(model=MODEL.name, device=name, torch=torch.__version__, heads="fp32",
             input_pixels=f"{spec.width}x{spec.height}")  # fmt: skip
    pictures, photographs = pictures_of(options.pictures, count, spec)
    part.set(photographs=photographs, made_up_pictures=count - photographs)
    frames = tensor_of(pictures, spec)
    expected = reference_of(frames)
    models = {}
    torch.backends.cudnn.benchmark = False
    for precision in PRECISIONS:
        if device == "cpu" and precision.name in ("fp16", "tf32"):
            part.leave_out(f"model in {precision.name}: on a GPU only")
            continue
        fresh = build_student(record)
        fresh.load_state_dict(student.state_dict())
        models[precision.name] = Deployed(fresh.eval(), precision).to(device)
        precision.use()
        row = compare(precision.name, answers(models[precision.name], frames, device), expected)
        part.add("parity", **row)
        if precision.name == "fp32":
            part.set(passed=row["score_largest_points"] <= ALLOWED_POINTS, allowed_points=ALLOWED_POINTS)
    torch.backends.cudnn.benchmark = True
    for precision in sorted(models, key=["fp16", "fp32", "bf16", "tf32"].index):
        models[precision].precision.use()
        for batch in batches:
            if time.monotonic() > end:
                part.leave_out(f"speed of {precision}, batch {batch}: time was over")
                continue
            part.add("speed", **speed(models[precision], frames, batch, repeats, device))


if __name__ == "__main__":
    main()

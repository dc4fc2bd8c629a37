"""The engine itself: built by `dpiqa export trt`, run by libdpiqa, as far as the machine allows.

    python benchmarks/gpu/real.py --out real.json [--pictures FOLDER] [--hours N]

Parity with FP32 in ONNX Runtime, latency with and without preprocessing, 64 cameras, and hours of them on request.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from engines import build, why_no_core, why_no_gpu
from parts import Part
from reference import MODEL, compare, pictures_of, reference_of, tensor_of

from dpiqa.errors import EngineError, ToolError
from dpiqa.export.gate.options import Budget
from dpiqa.export.tensorrt.api import DEFAULT_SMS, Flavour, find_flavour
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.gpu import find_driver

if TYPE_CHECKING:
    from dpiqa.native import Model

PRECISIONS = ("int8", "fp16")
CAMERAS, FPS, MAX_WAIT_MS = 64, 25, 5
MIN_SRCC = 0.9  # on made-up pictures, which are unlike those that the model was calibrated with
SAME_POINTS = 0.5  # a frame alone and in a batch
GROWTH_MB = 50

Open = Callable[..., "Model"]  # takes max_wait_ms


def parity(model: Model, precision: str, frames: np.ndarray, expected: dict[str, np.ndarray]) -> dict[str, Any]:
    """How far the outputs for RGB frames at the model's size `[N, H, W, 3]` are from those expected."""
    results = model.score_many(list(frames), "rgb", ignore_void=True)
    actual = {name: np.array([getattr(result, name) for result in results]) for name in expected}
    return compare(precision, actual, expected)


def is_close(row: dict[str, Any], photographs: int) -> bool:
    """Whether parity keeps the budget of an export or, where pictures are made up, the order of the scores."""
    if photographs < row["pictures"]:
        return row["score_srcc"] >= MIN_SRCC
    return row["score_mean_points"] <= Budget.mean_drift and row["score_largest_points"] <= Budget.drift


def measure(part: Part, open_model: Open, precision: str, frames: np.ndarray, expected: dict[str, np.ndarray],
            cameras: int = CAMERAS, seconds: float = 10, repeats: int = 200) -> bool:  # fmt: skip
    """Parity, latency and cameras of one model, into the part; whether its scores are as they must be."""
    from cameras import Site, latency, scores, video_frames, watch  # late: they need the native core

    model, video = open_model(max_wait_ms=0), video_frames(4)
    agreement = parity(model, precision, frames, expected)
    part.add("parity", **agreement)
    for row in latency(model, video[0], frames[0], repeats):
        part.add("latency", precision=precision, **row)
    alone, same = scores(model, video), True
    model = open_model(max_wait_ms=MAX_WAIT_MS)
    for fps in (FPS, None):
        row = watch(model, video, alone, Site(cameras, fps, seconds))
        part.add("cameras", precision=precision, max_wait_ms=MAX_WAIT_MS, **row)
        same &= row["largest_apart_points"] <= SAME_POINTS
    return same and is_close(agreement, part.results["photographs"])


def endure(part: Part, open_model: Open, precision: str, hours: float, cameras: int = CAMERAS) -> bool:
    """Hours of cameras, a row a minute; whether scores stay what they were and memory what it was."""
    from cameras import Site, soak, video_frames

    for row in soak(open_model(max_wait_ms=MAX_WAIT_MS), video_frames(4), Site(cameras, FPS, 3600 * hours)):
        part.add("hours", precision=precision, max_wait_ms=MAX_WAIT_MS, **row)
    rows = part.results["hours"]
    same = all(row["largest_apart_points"] <= SAME_POINTS for row in rows)
    return same and rows[-1]["resident_mb"] - rows[0]["resident_mb"] <= GROWTH_MB


def expectations(part: Part, folder: Path | None, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """So many pictures at the model's size, and what FP32 says of them."""
    spec = open_engine(MODEL, "onnxruntime").spec.input
    pictures, photographs = pictures_of(folder, count, spec)
    part.set(photographs=photographs, made_up_pictures=count - photographs)
    frames = tensor_of(pictures, spec)
    return frames, reference_of(frames)


def prove(part: Part, flavour: Flavour, sm: str | None, can_run: bool, options: argparse.Namespace) -> bool:
    """Both engines, built and, where that is possible, run; what fails is written down and stops nothing else."""
    end, passed = time.monotonic() + options.seconds, True
    expected = expectations(part, options.pictures, options.count) if can_run else None
    engines: dict[str, Open] = {}
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        for precision in PRECISIONS:
            if precision == "fp16" and find_spec("modelopt") is None:
                part.leave_out("the fp16 engine: Python lacks modelopt")
                continue
            try:
                engine, row = build(flavour, sm, precision, Path(folder), end - time.monotonic())
                part.add("builds", **row)
                if expected:
                    passed &= measure(part, opener(engine), precision, *expected)
                    engines[precision] = opener(engine)
            except EngineError as error:
                part.add("failures", precision=precision, reason=str(error))
                passed = False
        if options.hours and "int8" in engines:
            passed &= endure(part, engines["int8"], "int8", options.hours)
    return passed


def opener(engine: Path) -> Open:
    """What opens an engine with libdpiqa."""
    from dpiqa.native import Model

    return partial(Model, engine, engine="tensorrt")


def main() -> None:
    """Find out what there is, and do what can be done with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300, help="What builds may take.")
    parser.add_argument("--hours", type=float, default=0, help="Of 64 cameras on the INT8 engine.")
    options = parser.parse_args()
    part, driver = Part(options.out), find_driver()
    try:
        flavour = find_flavour()
    except ToolError as error:
        part.leave_out(f"engines of a real TensorRT: {error}")
        return
    gpu = driver.gpus[0] if driver.gpus else None
    part.set(flavour=flavour.name, tensorrt=flavour.version, gpu=gpu.name if gpu else None)
    sm, reason = None, why_no_gpu(flavour, driver)
    if flavour.name == "tensorrt-rtx":
        sm = gpu.compute_capability.replace(".", "") if gpu and reason is None else DEFAULT_SMS
    if reason := reason or why_no_core():
        part.leave_out(f"running the engines (parity, latency, {CAMERAS} cameras): {reason}")
    part.set(passed=prove(part, flavour, sm, reason is None, options))


if __name__ == "__main__":
    main()

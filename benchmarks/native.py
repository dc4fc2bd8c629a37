"""Time each stage of scoring camera frames, compared with a pipeline written by hand.

    python benchmarks/native.py [--rounds 100] [--csv FILE]

All cases take turns in every round, so that a drift of the machine's speed favours none. The measured values are then
compared with the project's targets. The C++ counterpart is `native.cpp`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import onnxruntime
import typer
from measured_on import measured_on
from rich.console import Console
from rich.table import Table

from dpiqa.errors import ToolError
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.program import run
from dpiqa.runtime.spec import InputSpec, parse_spec

SIZES = {"1080p": (1080, 1920), "4K": (2160, 3840)}
MODELS = {"fp32": "dpiqa-lite0", "int8": "dpiqa-lite0-int8"}
STAGES = ("preprocess", "infer", "total")
SQUASHED, SHAPED = "opencv+onnxruntime", "opencv+onnxruntime, shaped"  # to the model's first shape, or the nearest


class Case(NamedTuple):
    """One case; `pipeline` is `dpiqa`, SQUASHED or SHAPED, or `openvino` for the engine alone."""

    pipeline: str
    size: str
    format: str
    precision: str
    threads: int


Stages = tuple[float, float, float]
Run = Callable[[], Stages]
Times = dict[Case, np.ndarray]


def through_dpiqa(path: Path, frame: np.ndarray, form: str, threads: int) -> Run:
    """The native core from Python: stages as the core measures them, total as the caller sees it."""
    from dpiqa import native

    scorer = native.Model(path, threads=threads, force_float32=True)
    colour = "bt601-limited" if form == "nv12" else None

    def run() -> Stages:
        began = perf_counter()
        reading = scorer.score(frame, form, colour)  # type: ignore[arg-type]
        return reading.preprocess_ms, reading.infer_ms, (perf_counter() - began) * 1000

    return run


def as_users_write_it(path: Path, nv12: np.ndarray, spec: InputSpec, threads: int) -> Run:
    """OpenCV to BGR and to the size of `spec`, ONNX Runtime with its defaults (the cast to float is in the graph)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run() -> Stages:
        began = perf_counter()
        row = to_input(cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12), spec)
        ready = perf_counter()
        session.run(["score"], {"frames": row[None]})
        end = perf_counter()
        return (ready - began) * 1000, (end - ready) * 1000, (end - began) * 1000

    return run


def engine_alone(path: Path, spec: InputSpec, threads: int) -> Run:
    """OpenVINO on one prepared frame, with the settings that the core uses where INT8 is exact."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([1, spec.height, spec.width, 3])
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    row = np.full((1, spec.height, spec.width, 3), 100, np.uint8)

    def run() -> Stages:
        began = perf_counter()
        request.infer({"frames": row}, share_inputs=True, share_outputs=True)
        spent = (perf_counter() - began) * 1000
        return 0.0, spent, spent

    return run


def cases(threads: int) -> dict[Case, Run]:
    """All pipelines on all frames."""
    from dpiqa import native

    fp32 = shipped_model(MODELS["fp32"])
    spec = parse_spec(native.Model(fp32, force_float32=True).contract, fp32).input
    runs: dict[Case, Run] = {
        Case("openvino", "", "", "fp32", threads): engine_alone(fp32, spec.nearest(9, 16), threads)
    }
    rng = np.random.default_rng(0)
    for size, (height, width) in SIZES.items():
        coarse = rng.integers(40, 200, (27, 16), np.uint8)  # light and dark places, else the frame counts as flat
        nv12 = cv2.resize(coarse, (width, height * 3 // 2), interpolation=cv2.INTER_LINEAR)
        frames = {"nv12": nv12, "bgr": cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12)}
        for precision, name in MODELS.items():
            for form, frame in frames.items():
                run = through_dpiqa(shipped_model(name), frame, form, threads)
                runs[Case("dpiqa", size, form, precision, threads)] = run
        for pipeline, shape in ((SQUASHED, spec.shapes[0]), (SHAPED, spec.nearest(height, width))):
            runs[Case(pipeline, size, "nv12", "fp32", threads)] = as_users_write_it(fp32, nv12, shape, threads)
    return runs


def measure(threads: int, rounds: int) -> Times:
    """Milliseconds by case, float `[rounds, 3]` in the order of STAGES; three more rounds warm up."""
    cv2.setNumThreads(threads)
    runs = cases(threads)
    times: dict[Case, list[Stages]] = {case: [] for case in runs}
    for _ in range(3 + rounds):
        for case, pipeline in runs.items():
            times[case].append(pipeline())
            sleep(0.01)  # ONNX Runtime's threads keep spinning for a while
    return {case: np.array(values[3:]) for case, values in times.items()}


def targets(times: Times) -> list[tuple[str, str, str, bool]]:
    """Each target: its name, the limit, the measured value and whether it is met; 1080p, one thread."""

    def case(pipeline: str, form: str, precision: str) -> np.ndarray:
        return times[Case(pipeline, "1080p", form, precision, 1)]

    nv12, bgr, fp32 = case("dpiqa", "nv12", "int8"), case("dpiqa", "bgr", "int8"), case("dpiqa", "nv12", "fp32")
    user, shaped = case(SQUASHED, "nv12", "fp32"), case(SHAPED, "nv12", "fp32")
    bare = times[Case("openvino", "", "", "fp32", 1)]
    preprocess, _, total = np.median(fp32, axis=0)
    faster = float(np.median(user[:, 2]) / np.median(nv12[:, 2]))
    faster_fp32 = float(np.median(user[:, 2]) / total)
    faster_shaped = float(np.median(shaped[:, 2]) / np.median(nv12[:, 2]))
    int8 = float(np.median(nv12[:, 1]) / np.median(fp32[:, 1]))
    over_engine = float(total / (np.median(bare[:, 1]) + preprocess))
    python = float(np.median(fp32[:, 2] / fp32[:, :2].sum(axis=1)) - 1)
    rows = [("NV12 to INT8 score, fps over OpenCV + ONNX Runtime FP32", "3.0 times", f"{faster:.2f}", faster >= 3)]
    rows += [("the same, where that one takes the frame's shape, too", "", f"{faster_shaped:.2f}", True)]
    rows += [("INT8 inference over FP32 (wanted: .55 with VNNI, .65 without)", "", f"{int8:.2f}", True)]
    rows += [("NV12 to FP32 score, the same", "", f"{faster_fp32:.2f}", True)]
    for form, values in (("NV12", nv12), ("BGR", bgr)):
        preprocess_ms = float(np.median(values[:, 0]))
        rows += [(f"preprocessing of {form}, ms", "1.5 at most", f"{preprocess_ms:.2f}", preprocess_ms <= 1.5)]
    rows += [("total over engine alone + preprocessing", "1.15 at most", f"{over_engine:.3f}", over_engine <= 1.15)]
    rows += [("Python over what the core measures, %", "3 at most", f"{100 * python:.2f}", python <= 0.03)]
    return rows


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 100,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Print median and 99th percentile of each case's stages, then the targets."""
    if reason := why_absent():
        raise ToolError(f"the native core cannot be used ({reason}): pip install '.[openvino]' brings it")
    times = measure(1, rounds) | measure(2, rounds)
    machine = measured_on("openvino", "onnxruntime", "opencv-python")
    table = Table(*Case._fields, *(f"{stage} ms" for stage in STAGES), "fps", title=f"median / p99 on {machine}")
    rows = []
    for case, values in times.items():
        median, p99 = np.median(values, axis=0), np.percentile(values, 99, axis=0)
        cells = [f"{a:.2f} / {b:.2f}" for a, b in zip(median, p99, strict=True)]
        table.add_row(*map(str, case), *cells, f"{1000 / median[2]:.1f}")
        for stage, a, b in zip(STAGES, median, p99, strict=True):
            rows.append([machine, *case, stage, f"{a:.3f}", f"{b:.3f}"])
    verdict = Table("target (1080p, one thread)", "limit", "measured", "")
    for name, limit, value, met in targets(times):
        verdict.add_row(name, limit, value, ("met" if met else "missed") if limit else "")
    console = Console(width=150)
    console.print(table)
    console.print(verdict)
    if csv_file:
        with csv_file.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["machine", *Case._fields, "stage", "median_ms", "p99_ms"])
            writer.writerows(rows)


if __name__ == "__main__":
    run(main)

"""Time each stage of scoring a frame, beside what one writes without this project: `python benchmarks/native.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter

import cv2
import dpiqa
import numpy as np
import onnxruntime as ort

from runtime.models import shipped_model
from runtime.spec import parse_spec

SIZES = {"1080p": (1080, 1920), "4K": (2160, 3840)}


def timed(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median and 99th percentile of the call's milliseconds, after a warm-up."""
    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        began = perf_counter()
        call()
        times.append((perf_counter() - began) * 1000)
    return float(np.median(times)), float(np.percentile(times, 99))


def user_pipeline(path: str, height: int, width: int, threads: int) -> Callable[[np.ndarray], float]:
    """What a user writes today: OpenCV to BGR, resize, ONNX Runtime with FP32."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def score(nv12: np.ndarray) -> float:
        rgb = cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12)
        small = cv2.resize(rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        frames = np.clip(np.rint(small), 0, 255).astype(np.uint8)[None]
        return float(np.asarray(session.run(["score"], {"frames": frames})[0])[0])

    return score


def main() -> None:
    """Print one line a case: milliseconds, median/p99."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fp32", help="the FP32 model (default: the shipped one)")
    parser.add_argument("--int8", help="the INT8 model (default: the shipped one)")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    fp32 = options.fp32 or str(shipped_model("dpiqa-lite0"))
    models = {"fp32": fp32, "int8": options.int8 or str(shipped_model("dpiqa-lite0-int8"))}
    rng = np.random.default_rng(0)
    print(f"{'case':34} {'preprocess':>14} {'infer':>14} {'total':>14}  fps")
    for size, (height, width) in SIZES.items():
        nv12 = cv2.GaussianBlur(rng.integers(40, 200, (height * 3 // 2, width), np.uint8), (7, 7), 0)
        frames = {"nv12": (nv12, "bt601-limited"), "bgr": (cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12), None)}
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            for precision, path in models.items():
                scorer = dpiqa.Scorer(path, threads=threads)
                for form, (frame, colour) in frames.items():
                    stages: list[tuple[float, float]] = []

                    def score(frame: np.ndarray = frame, form: str = form, colour: str | None = colour) -> None:
                        reading = scorer.score(frame, form, colour)  # noqa: B023 (called before the loop moves on)
                        stages.append((reading.preprocess_ms, reading.infer_ms))  # noqa: B023

                    total = timed(score, options.rounds)
                    cells = [(np.median(part), np.percentile(part, 99)) for part in np.array(stages[3:]).T]
                    row = "".join(f" {median:7.2f}/{p99:6.2f}" for median, p99 in [*cells, total])
                    print(f"{f'{size} {form} {precision} {threads} thread(s)':34}{row} {1000 / total[0]:5.1f}")
            spec = parse_spec(dpiqa.Scorer(fp32).contract, fp32).input
            user = user_pipeline(fp32, spec.height, spec.width, threads)
            median, p99 = timed(lambda user=user, nv12=nv12: user(nv12), options.rounds)
            row = f"{'':30} {median:7.2f}/{p99:6.2f} {1000 / median:5.1f}"
            print(f"{f'{size} nv12 OpenCV+ORT {threads} thread(s)':34}{row}")


if __name__ == "__main__":
    main()

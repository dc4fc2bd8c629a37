"""Quantize a model to INT8 Q/DQ: `python -m export.int8 --model FILE --calibration DIR --out FILE`."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import numpy as np
import typer

from runtime.command import run
from runtime.engines import open_engine
from runtime.errors import InputError
from runtime.pictures import read_picture
from runtime.preprocess import to_input
from runtime.sources import expand, is_video
from runtime.spec import InputSpec
from train.datasets import load, parse_source
from train.metrics import plcc, srcc
from train.splits import split

from .contract import load_model, read_contract, save_model
from .sensitivity import restore, sensitivity

MIN_CALIBRATION = 100
_MIN_CHECKED, _MAX_CHECKED = 50, 500
_FOR_SENSITIVITY = 32


@dataclass(frozen=True)
class Drift:
    """How far one model's scores are from another's on the same frames; differences in points of 100."""

    frames: int
    srcc: float
    plcc: float
    mean: float
    largest: float


def read_frames(files: list[str], spec: InputSpec) -> np.ndarray:
    """Pictures as the model sees them: uint8 `[N, H, W, 3]`."""
    return np.stack([to_input(read_picture(file), spec) for file in files])


def drift(reference: Path, candidate: Path, frames: np.ndarray) -> Drift:
    """Score uint8 frames `[N, H, W, 3]` with both model files in ONNX Runtime and compare."""
    a, b = (
        np.array([engine.infer(frame[None]).score[0] for frame in frames], np.float64)
        for engine in (open_engine(reference, "onnxruntime"), open_engine(candidate, "onnxruntime"))
    )
    return Drift(len(frames), srcc(b, a), plcc(b, a), float(np.abs(a - b).mean()), float(np.abs(a - b).max()))


def _calibration_files(text: str) -> list[str]:
    """The pictures of a folder, or the training part of a rated data set with an official test part."""
    if "=" in text and not Path(text).exists():
        name, path = parse_source(text)
        return [str(sample.path) for sample in split(load(name, path), "official").train]
    return [file for file in expand(text) if not is_video(file)]


def quantize_onnx(model: Path, frames: np.ndarray, method: str, out: Path) -> None:
    """Insert symmetric Q/DQ pairs (per-channel weights) with modelopt, ranges from uint8 `frames` `[N, H, W, 3]`."""
    from modelopt.onnx.quantization import quantize  # takes seconds and logs to the console

    chatter = io.StringIO()
    logging.getLogger("modelopt").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modelopt's and its dependencies' own
        quantize(
            str(model),
            quantize_mode="int8",
            calibration_data={"frames": frames},
            calibration_method=method,
            calibration_eps=["cpu"],
            high_precision_dtype="fp32",
            output_path=str(out),
            dq_only=True,  # weights stored as int8: a quarter of the size
            log_level="ERROR",
        )


def main(
    model: Annotated[Path, typer.Option(help="An FP32 model file with a contract.")],
    calibration: Annotated[
        str,
        typer.Option(help="Pictures like those that the model will see: a folder, or NAME=PATH of a rated data set."),
    ],
    out: Annotated[Path, typer.Option(help="The INT8 model file to write.")],
    images: Annotated[int, typer.Option(min=MIN_CALIBRATION, help="How many pictures to calibrate on.")] = 300,
    method: Annotated[Literal["max", "entropy"], typer.Option(help="How ranges are chosen.")] = "max",
    keep: Annotated[int, typer.Option(min=0, help="How many of the most sensitive convolutions stay in FP32.")] = 2,
    seed: Annotated[int, typer.Option(help="Draws the calibration pictures.")] = 0,
) -> None:
    """Quantize and print how far the INT8 scores are from FP32, on pictures that calibration did not see."""
    graph = load_model(model)
    spec = read_contract(graph, model)
    if spec.precision != "fp32":
        raise InputError(f"{model}: is {spec.precision}, quantization starts from an fp32 model")
    files = _calibration_files(calibration)
    if len(files) < MIN_CALIBRATION:
        raise InputError(f"{calibration}: {len(files)} pictures, calibration needs at least {MIN_CALIBRATION}")
    random.Random(seed).shuffle(files)
    used, rest = files[:images], files[images : images + _MAX_CHECKED]
    frames = read_frames(used, spec.input)
    typer.echo(f"calibrating on {len(used)} pictures from {calibration} ({method})")
    with TemporaryDirectory() as folder:
        quantized = Path(folder, "int8.onnx")
        quantize_onnx(model, frames, method, quantized)
        result = load_model(quantized)
        if keep:
            drifts = list(sensitivity(quantized, model, frames[:_FOR_SENSITIVITY], progress=True).items())[:keep]
            result = restore(result, graph, {name for name, _ in drifts})
            told = ", ".join(f"{name} ({points:.2f} points alone)" for name, points in drifts)
            typer.echo(f"kept in FP32: {told}")
        save_model(result, spec.model_copy(update={"precision": "int8", "evaluated_on": ()}), out)
    unseen = len(rest) >= _MIN_CHECKED
    found = drift(model, out, read_frames(rest, spec.input) if unseen else frames)
    kind = "unseen" if unseen else "calibration"
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    typer.echo(
        f"INT8 against FP32 on {found.frames} {kind} pictures: SRCC {found.srcc:.4f}  PLCC {found.plcc:.4f}  "
        f"mean difference {found.mean:.2f}  largest {found.largest:.2f} points"
    )


if __name__ == "__main__":
    run(main)

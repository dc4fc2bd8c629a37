"""From a model file to a TensorRT engine that explains itself: `python -m export.trt --int8`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dpiqa.errors import InputError, ToolError, unreadable
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.tensorrt.api import DEFAULT_SMS, find_flavour
from dpiqa.export.tensorrt.options import MIN_INT8, Precision
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.program import run


def main(
    int8: Annotated[bool, typer.Option("--int8", help="The shipped Q/DQ graph, or --calibration's.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision.")] = False,
    model: Annotated[Path | None, typer.Option(help="A model file with a contract (default: the shipped one).")] = None,
    calibration: Annotated[
        str | None, typer.Option(help=f"Quantize an FP32 model on these pictures, and judge it on others: {SOURCES}.")
    ] = None,
    allow_few: Annotated[bool, typer.Option(help="Calibrate and judge on however few pictures there are.")] = False,
    auto_repair: Annotated[bool, typer.Option(help="Keep the few layers in FP32 that the budget asks for.")] = False,
    max_srcc_drop: Annotated[float, typer.Option(min=0, help="What quantization may cost.")] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path("engines"),
    flavour: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx"],
        typer.Option(help="auto: full TensorRT where it is installed and a GPU answers, else TensorRT-RTX."),
    ] = "auto",
    sm: Annotated[
        str | None, typer.Option(help=f"TensorRT-RTX compiles for these GPUs (default {DEFAULT_SMS}).")
    ] = None,
    min_batch: Annotated[int, typer.Option(min=1)] = 1,
    opt_batch: Annotated[int, typer.Option(min=1, help="Frames at once that the engine is fastest at.")] = 1,
    max_batch: Annotated[int, typer.Option(min=1)] = 4,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Take frames of another size.")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="Full TensorRT: what earlier builds timed.")] = None,
    dla: Annotated[int | None, typer.Option(min=0, help="Jetson: the DLA core that runs what it can.")] = None,
    workspace: Annotated[int | None, typer.Option(min=1, metavar="MB", help="Memory that a layer may use.")] = None,
    allow_partial_int8: Annotated[
        bool, typer.Option(help=f"Accept less than {MIN_INT8:.0%} of the convolutions' work in INT8.")
    ] = False,
) -> None:
    """Build an engine, its manifest and a report; the same request again reuses the engine.

    Exit status: 3 when the INT8 or FP16 model breaks its budget or the engine is not INT8, 4 when no TensorRT is
    installed; the ONNX file is written then.
    """
    from dpiqa.export.graphs.transform import parse_size
    from dpiqa.export.tensorrt.delivery import deliver_engine
    from dpiqa.export.tensorrt.engine_builder import BuildOptions
    from dpiqa.export.tensorrt.network import prepare_network

    precision = _precision(int8, fp16, fp32)
    options = BuildOptions((), (min_batch, opt_batch, max_batch), workspace, dla, timing_cache)
    height_width = parse_size(size) if size else None
    try:
        found, missing = find_flavour(flavour), None
    except ToolError as error:
        found, missing = None, error
    if found is not None:
        options = options.on(found, sm)
    path = model or shipped_model(INT8_MODEL if precision == "int8" and not calibration else DEFAULT_MODEL)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unreadable(out, error) from None
    quantization = None
    if calibration is not None:
        budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
        quantization = Quantization(calibration, budget, allow_few=allow_few, auto_repair=auto_repair)
    source = prepare_network(path, precision, height_width, quantization, out)
    if found is None:
        raise ToolError(f"{missing}; {source.onnx} is written, the engine is not")
    deliver_engine(source, found, options, allow_partial_int8)


def _precision(int8: bool, fp16: bool, fp32: bool) -> Precision:
    options: dict[Precision, bool] = {"int8": int8, "fp16": fp16, "fp32": fp32}
    asked: list[Precision] = [name for name, wanted in options.items() if wanted]
    if len(asked) != 1:
        raise InputError(f"name one precision, --int8, --fp16 or --fp32; found {len(asked)}")
    return asked[0]


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export trt --int8"

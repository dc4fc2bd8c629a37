"""Build a TensorRT engine, with its manifest, from a model file: `dpiqa export trt --int8`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dpiqa.errors import InputError, ToolError, unreadable
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget, Drift, MeanDrift
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.tensorrt.api import DEFAULT_SMS, find_flavour
from dpiqa.export.tensorrt.options import MIN_INT8, Precision
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.program import run


def main(
    int8: Annotated[
        bool, typer.Option("--int8", help="INT8: the shipped Q/DQ model, or quantize with --calibration.")
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision.")] = False,
    model: Annotated[Path | None, typer.Option(help="Path to a model file (default: the shipped one).")] = None,
    calibration: Annotated[
        str | None, typer.Option(help=f"Pictures to quantize an FP32 model with and to compare on: {SOURCES}.")
    ] = None,
    allow_few: Annotated[bool, typer.Option(help="Accept any number of pictures to calibrate and compare on.")] = False,
    auto_repair: Annotated[bool, typer.Option(help="Keep as few layers in FP32 as the budget requires.")] = False,
    max_srcc_drop: Annotated[
        float, typer.Option(min=0, help="Maximum drop in SRCC by --calibration.")
    ] = Budget.srcc_drop,
    max_drift: Drift = Budget.drift,
    max_mean_drift: MeanDrift = Budget.mean_drift,
    out: Annotated[Path, typer.Option(help="Path of the folder to write to.")] = Path("engines"),
    flavour: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx"],
        typer.Option(help="auto: full TensorRT if it is installed and there is a GPU, otherwise TensorRT-RTX."),
    ] = "auto",
    sm: Annotated[
        str | None, typer.Option(help=f"GPUs that TensorRT-RTX compiles for (default {DEFAULT_SMS}).")
    ] = None,
    min_batch: Annotated[int, typer.Option(min=1, help="Smallest batch.")] = 1,
    opt_batch: Annotated[int, typer.Option(min=1, help="Batch size to optimize for.")] = 1,
    max_batch: Annotated[int, typer.Option(min=1, help="Largest batch.")] = 4,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Frame size, if other than the model's.")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="Full TensorRT: path of the timing cache.")] = None,
    dla: Annotated[int | None, typer.Option(min=0, help="Jetson: DLA core for the layers it can run (FP16).")] = None,
    version_compatible: Annotated[
        bool,
        typer.Option("--version-compatible", help="Full TensorRT: run in the lean runtime, also of later versions."),
    ] = False,
    workspace: Annotated[int | None, typer.Option(min=1, metavar="MB", help="Maximum memory per layer.")] = None,
    allow_partial_int8: Annotated[
        bool, typer.Option(help=f"Accept less than {MIN_INT8:.0%} of the convolutions' work in INT8.")
    ] = False,
) -> None:
    """Build an engine, its manifest and a report, or reuse an engine built from the same request.

    Exit status: 3 when the INT8 or FP16 model breaks its budget or the engine is not INT8, 4 when no TensorRT is
    installed; in that case the ONNX file is still written.
    """
    from dpiqa.export.graphs.transform import parse_size
    from dpiqa.export.tensorrt.delivery import deliver_engine
    from dpiqa.export.tensorrt.engine_builder import BuildOptions
    from dpiqa.export.tensorrt.network import prepare_network

    precision = _precision(int8, fp16, fp32)
    options = BuildOptions((), (min_batch, opt_batch, max_batch), workspace, dla, timing_cache, version_compatible)
    if int8 and dla is not None:
        raise InputError(f"--dla {dla}: DLA cores run no Q/DQ model, --fp16 builds one for them")
    height_width = parse_size(size) if size else None
    try:
        installed, missing = find_flavour(flavour), None
    except ToolError as error:
        installed, missing = None, error
    if installed is not None:
        options = options.on(installed, sm)
    path = model or shipped_model(INT8_MODEL if precision == "int8" and not calibration else DEFAULT_MODEL)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unreadable(out, error) from None
    quantization = None
    if calibration is not None:
        budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
        quantization = Quantization(calibration, budget, allow_few=allow_few, auto_repair=auto_repair)
    network = prepare_network(path, precision, height_width, quantization, out, typer.echo)
    if installed is None:
        raise ToolError(f"{missing}; {network.file} is written, the engine is not")
    deliver_engine(network, installed, options, allow_partial_int8, typer.echo)


def _precision(int8: bool, fp16: bool, fp32: bool) -> Precision:
    flags: dict[Precision, bool] = {"int8": int8, "fp16": fp16, "fp32": fp32}
    precisions: list[Precision] = [name for name, is_set in flags.items() if is_set]
    if len(precisions) != 1:
        raise InputError(f"name one precision, --int8, --fp16 or --fp32; found {len(precisions)}")
    return precisions[0]


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export trt --int8"

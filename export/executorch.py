"""Write a model file as an ExecuTorch program for cameras and small boards: `dpiqa export executorch --out FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget, Drift, MeanDrift, PictureSeed, ReportFile, SrccDrop
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.program import run


def main(
    out: Annotated[Path, typer.Option(help="Path of the .pte file to write.")],
    int8: Annotated[bool, typer.Option("--int8", help="The shipped INT8 model instead of the FP32 one.")] = False,
    model: Annotated[Path | None, typer.Option(help="Path to an .onnx model file, FP32 or INT8 Q/DQ.")] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Path to the FP32 model file that INT8 is compared with (default: shipped)."),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help=f"For INT8: pictures that it was not calibrated on: {SOURCES}.")
    ] = None,
    with_map: Annotated[bool, typer.Option("--map/--no-map", help="Whether the program computes the map.")] = True,
    allow_few: Annotated[bool, typer.Option(help=f"Accept fewer than {MIN_PICTURES} pictures.")] = False,
    max_srcc_drop: SrccDrop = Budget.srcc_drop,
    max_drift: Drift = Budget.drift,
    max_mean_drift: MeanDrift = Budget.mean_drift,
    report: ReportFile = None,
    seed: PictureSeed = 0,
) -> None:
    """Write the program, its contract inside, once it gives ONNX Runtime's scores (FP32) or keeps the budget (INT8).

    An INT8 program has the scales of the model file's Q/DQ nodes. Exit status 3, and no file, when it
    breaks the budget.
    """
    from dpiqa.export.graphs.model import read_model
    from dpiqa.export.xnnpack.delivery import deliver_fp32, deliver_int8, one_shape_file

    if int8 and model:
        raise InputError("--int8 names the shipped model; --model brings its own precision")
    path = model or shipped_model(INT8_MODEL if int8 else DEFAULT_MODEL)
    precision = read_model(path).spec.precision
    if precision == "fp32":
        if images or reference:
            raise InputError(f"{path}: is fp32, verified on test patterns; --images and --reference are for INT8")
        with one_shape_file(path, typer.echo) as file:
            deliver_fp32(file, out, with_map, typer.echo)
    elif precision == "int8":
        if images is None:
            raise InputError(f"{path}: is int8, --images must name pictures to compare it with its FP32 reference on")
        budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
        reference = reference or shipped_model()
        with one_shape_file(path, typer.echo) as file, one_shape_file(reference, typer.echo) as fp32:
            deliver_int8(file, fp32, images, budget, out, with_map, report, seed, typer.echo)
    else:
        raise InputError(f"{path}: is {precision}, ExecuTorch programs are made from fp32 and int8 models")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export executorch --int8 --images PHOTOS --out dpiqa-lite0-int8.pte"

"""Quantize a model to INT8 Q/DQ and verify it: `dpiqa export int8 --model FILE --calibration DIR --out FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget, Drift, MeanDrift, PictureSeed, ReportFile, SrccDrop
from dpiqa.export.quantization.options import Method, Quantization
from dpiqa.runtime.program import run


def main(
    model: Annotated[Path, typer.Option(help="Path to an FP32 model file.")],
    calibration: Annotated[str, typer.Option(help=f"Pictures like those the model will score: {SOURCES}.")],
    out: Annotated[Path, typer.Option(help="Path of the INT8 model file to write.")],
    images: Annotated[int, typer.Option(min=1, help="Number of pictures to calibrate on.")] = 300,
    allow_few: Annotated[bool, typer.Option(help="Accept any number of pictures to calibrate and compare on.")] = False,
    method: Annotated[Method, typer.Option(help="How activation ranges are chosen.")] = "percentile",
    percentile: Annotated[
        float, typer.Option(min=50, max=100, help="Where ranges end with --method percentile.")
    ] = 99.99,
    keep: Annotated[int, typer.Option(min=0, help="Number of most sensitive layers to keep in FP32.")] = 0,
    auto_repair: Annotated[bool, typer.Option(help="Keep as few layers in FP32 as the budget requires.")] = False,
    min_int8: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum fraction of the convolutions' work in INT8 with --auto-repair.")
    ] = 0.95,
    max_srcc_drop: SrccDrop = Budget.srcc_drop,
    max_drift: Drift = Budget.drift,
    max_mean_drift: MeanDrift = Budget.mean_drift,
    report: ReportFile = None,
    seed: PictureSeed = 0,
    bias_correction: Annotated[bool, typer.Option(help="Correct the mean error of each channel and neuron.")] = True,
) -> None:
    """Quantize, compare with FP32 on pictures that nothing was chosen on, and write the file if it keeps the budget."""
    from dpiqa.export.gate.deliver import deliver
    from dpiqa.export.graphs.model import read_fp32
    from dpiqa.export.quantization.quantize import quantize

    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    settings = Quantization(calibration, budget, images, allow_few, method, percentile, keep, auto_repair, min_int8,
                            seed, bias_correction)  # fmt: skip
    quantized, comparison = quantize(read_fp32(model), settings, typer.echo)
    deliver(quantized, out, comparison, report, typer.echo)


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export int8 --model mine.onnx --calibration PHOTOS --auto-repair --out mine-int8.onnx"

"""Quantize a model to INT8 Q/DQ and prove it: `python -m export.int8 --model FILE --calibration DIR --out FILE`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.export.quantization.options import Method, Quantization
from dpiqa.runtime.program import run


def main(
    model: Annotated[Path, typer.Option(help="An FP32 model file with a contract.")],
    calibration: Annotated[str, typer.Option(help=f"Pictures like those that the model will see: {SOURCES}.")],
    out: Annotated[Path, typer.Option(help="The INT8 model file to write.")],
    images: Annotated[int, typer.Option(min=1, help="How many pictures to calibrate on.")] = 300,
    allow_few: Annotated[bool, typer.Option(help="Calibrate and judge on however few pictures there are.")] = False,
    method: Annotated[Method, typer.Option(help="How ranges are chosen.")] = "percentile",
    percentile: Annotated[float, typer.Option(min=50, max=100, help="For --method percentile.")] = 99.99,
    keep: Annotated[int, typer.Option(min=0, help="How many of the most sensitive layers stay in FP32.")] = 0,
    auto_repair: Annotated[bool, typer.Option(help="Keep the few layers in FP32 that the budget asks for.")] = False,
    min_int8: Annotated[
        float, typer.Option(min=0, max=1, help="Share of convolutions' work that --auto-repair leaves in INT8.")
    ] = 0.95,
    max_srcc_drop: Annotated[float, typer.Option(min=0)] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    report: Annotated[Path | None, typer.Option(help="The report; by default OUT with the suffix .html.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the pictures.")] = 0,
    bias_correction: Annotated[bool, typer.Option(help="Make good the mean error of each channel and neuron.")] = True,
) -> None:
    """Quantize, compare with FP32 on pictures that nothing was chosen on, and write the file if the budget is kept."""
    from dpiqa.export.gate.deliver import deliver
    from dpiqa.export.quantization.quantize import quantize

    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    how = Quantization(calibration, budget, images, allow_few, method, percentile, keep, auto_repair, min_int8, seed,
                       bias_correction)  # fmt: skip
    with TemporaryDirectory() as folder:
        candidate = Path(folder, out.name)
        deliver(candidate, out, quantize(model, candidate, how, f"{out.name}: INT8 against FP32"), report)


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export int8 --model mine.onnx --calibration PHOTOS --auto-repair --out mine-int8.onnx"

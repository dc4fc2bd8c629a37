"""The gate: `dpiqa export verify --reference FP32 --candidate FILE --images PICTURES`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget, Drift, MeanDrift, SrccDrop
from dpiqa.runtime.program import run


def main(
    reference: Annotated[Path, typer.Option(help="Path to the FP32 model file.")],
    candidate: Annotated[Path, typer.Option(help="Path to the model file to verify: .onnx, .engine, .pte.")],
    images: Annotated[str, typer.Option(help=f"Pictures that were not used for calibration: {SOURCES}.")],
    engine: Annotated[str | None, typer.Option(help="Engine for the candidate (default: by the file).")] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of pictures to compare on.")] = MIN_PICTURES,
    skip: Annotated[int, typer.Option(min=0, help="Number of pictures to skip first: those of the calibration.")] = 0,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed for choosing the pictures; with --skip, that of the calibration.")
    ] = 0,
    max_srcc_drop: SrccDrop = Budget.srcc_drop,
    max_drift: Drift = Budget.drift,
    max_mean_drift: MeanDrift = Budget.mean_drift,
    allow_few: Annotated[bool, typer.Option(help=f"Accept fewer than {MIN_PICTURES} pictures.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Path of the report FILE.html; FILE.json is written beside it.")
    ] = None,
) -> None:
    """Compare a candidate with its FP32 reference; exit status 3 when it breaks the budget.

    On rated pictures (NAME=PATH) the drop in SRCC is the loss of agreement with MOS, otherwise 1 - SRCC between the
    scores of the two models.
    """
    from dpiqa.export.gate.comparison import compare_files, gate
    from dpiqa.export.gate.pictures import read_pictures
    from dpiqa.export.gate.report import Report, write_report
    from dpiqa.runtime.engines.registry import open_engine

    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    engine = engine or {".engine": "tensorrt", ".pte": "executorch"}.get(candidate.suffix)
    spec = open_engine(reference, "onnxruntime").spec
    pictures = read_pictures(images, spec.input, skip + count, seed)[skip:]
    if len(pictures) < budget.pictures:
        raise InputError(
            f"{images}: {len(pictures)} pictures, the gate needs at least {budget.pictures} (--allow-few overrides)"
        )
    comparison = compare_files(reference, candidate, pictures, engine, progress=True)
    typer.echo(f"{candidate} against {reference} {comparison}")
    if report:
        title = f"{candidate.name} against {reference.name}"
        write_report(Report(title, comparison, budget=budget), report)
    gate(comparison, budget)


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export verify --reference mine.onnx --candidate mine-int8.onnx --images PHOTOS"

"""The gate: `python -m export.verify --reference FP32 --candidate FILE --images PICTURES`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.runtime.program import run


def main(
    reference: Annotated[Path, typer.Option(help="The FP32 model file.")],
    candidate: Annotated[Path, typer.Option(help="The model file to judge, .onnx or .engine.")],
    images: Annotated[str, typer.Option(help=f"{SOURCES}; not those of the calibration.")],
    engine: Annotated[str | None, typer.Option(help="Runs the candidate; by default what suits the file.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many pictures to judge on.")] = MIN_PICTURES,
    skip: Annotated[int, typer.Option(min=0, help="Leave out as many first: those that calibration took.")] = 0,
    seed: Annotated[
        int, typer.Option(min=0, help="Draws the pictures; as for the calibration, when --skip is used.")
    ] = 0,
    max_srcc_drop: Annotated[float, typer.Option(min=0)] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    allow_few: Annotated[bool, typer.Option(help=f"Judge on fewer than {MIN_PICTURES} pictures.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write FILE.html here, and FILE.json beside it.")] = None,
) -> None:
    """Compare a candidate with its FP32 reference; exit status 3 when it breaks the budget.

    The drop in SRCC is that of the agreement with MOS where the pictures are rated (NAME=PATH), else 1 - SRCC between
    the two models' scores.
    """
    from dpiqa.export.gate.comparison import compare, gate
    from dpiqa.export.gate.pictures import read_pictures
    from dpiqa.export.gate.report import Report, write_report
    from dpiqa.runtime.engines.registry import open_engine

    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    engine = engine or ("tensorrt" if candidate.suffix == ".engine" else "onnxruntime")
    spec = open_engine(reference, "onnxruntime").spec
    pictures = read_pictures(images, spec.input, skip + count, seed)[skip:]
    if len(pictures) < budget.pictures:
        raise InputError(
            f"{images}: {len(pictures)} pictures, the gate needs at least {budget.pictures} (--allow-few insists)"
        )
    found = compare(reference, candidate, pictures.frames, pictures.names, engine, progress=True, mos=pictures.mos)
    typer.echo(f"{candidate} against {reference} {found}")
    if report:
        title = f"{candidate.name} against {reference.name}"
        write_report(Report(title, comparison=found, budget=budget), report)
    gate(found, budget)


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export verify --reference mine.onnx --candidate mine-int8.onnx --images PHOTOS"

"""Write a checkpoint of `dpiqa train qat` as INT8 Q/DQ and verify it: `dpiqa export qat --checkpoint FILE ...`.

The reference is the student before fine-tuning, so the budget covers quantization and fine-tuning together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget, Drift, MeanDrift, PictureSeed, ReportFile, SrccDrop
from dpiqa.runtime.program import run


def main(
    checkpoint: Annotated[Path, typer.Option(help="Path to best.pt of `dpiqa train qat`.")],
    reference: Annotated[Path, typer.Option(help="Path to the FP32 model file of the student before fine-tuning.")],
    images: Annotated[str, typer.Option(help=f"Pictures to compare on, except those of the fine-tuning: {SOURCES}.")],
    out: Annotated[Path, typer.Option(help="Path of the INT8 model file to write.")],
    allow_few: Annotated[bool, typer.Option(help=f"Accept fewer than {MIN_PICTURES} pictures.")] = False,
    max_srcc_drop: SrccDrop = Budget.srcc_drop,
    max_drift: Drift = Budget.drift,
    max_mean_drift: MeanDrift = Budget.mean_drift,
    report: ReportFile = None,
    seed: PictureSeed = 0,
) -> None:
    """Export, compare with FP32, and write the file if it keeps the budget."""
    from dpiqa.export.gate.comparison import compare
    from dpiqa.export.gate.deliver import deliver
    from dpiqa.export.gate.pictures import read_pictures
    from dpiqa.export.gate.report import Report
    from dpiqa.export.graphs.model import Model, read_model
    from dpiqa.export.graphs.quantized_student import export_quantized
    from dpiqa.export.graphs.student import sources
    from dpiqa.export.quantization.qdq import int8_share
    from dpiqa.train.students.quantizers import load_quantized

    original = read_model(reference)
    spec = original.spec
    student, record = load_quantized(checkpoint)
    quantization = record.quantization
    assert quantization
    if record.input != spec.input:
        raise InputError(f"{checkpoint}: takes another input than {reference}, so they are not the same student")
    if student.causes != spec.causes:
        raise InputError(f"{checkpoint}: names other causes than {reference}, so they are not the same student")
    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    pictures = read_pictures(images, spec.input, MIN_PICTURES, seed, without=frozenset(quantization.file_names))
    if len(pictures) < budget.pictures:
        raise InputError(
            f"{images}: {len(pictures)} pictures that the student did not learn from, "
            f"the gate needs at least {budget.pictures} (--allow-few overrides)"
        )
    graph = export_quantized(student, spec.input)
    share = int8_share(graph)
    typer.echo(f"INT8: {share:.1%} of the convolutions' work")
    quantized = Model(graph, spec).declaring(precision="int8", evaluated_on=(), trained_on=sources(record))
    comparison = compare(original.engine(), quantized.engine(), pictures, progress=True)
    tuning = quantization.to_dict() | {"learned": len(quantization.file_names)}
    manifest = {"qat": tuning, "int8_share_of_convolutions": share}
    title = "INT8 after fine-tuning, against FP32"
    deliver(quantized, out, Report(title, comparison, manifest=manifest, budget=budget), report, typer.echo)


if __name__ == "__main__":
    run(main)

EXAMPLE = (
    "dpiqa export qat --checkpoint runs/mine-qat/best.pt --reference mine.onnx --images UNSEEN --out mine-int8.onnx"
)

"""Write what train.qat made as INT8 Q/DQ and prove it: `python -m export.qat --checkpoint FILE --reference FILE ...`.

The reference is the student as it was before, so the budget counts what quantization and fine-tuning changed together.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.runtime.program import run


def main(
    checkpoint: Annotated[Path, typer.Option(help="best.pt of train.qat.")],
    reference: Annotated[Path, typer.Option(help="The FP32 model file of the student before train.qat.")],
    images: Annotated[str, typer.Option(help=f"{SOURCES}; what the student learned on is left out.")],
    out: Annotated[Path, typer.Option(help="The INT8 model file to write.")],
    allow_few: Annotated[bool, typer.Option(help=f"Judge on fewer than {MIN_PICTURES} pictures.")] = False,
    max_srcc_drop: Annotated[float, typer.Option(min=0)] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    report: Annotated[Path | None, typer.Option(help="The report; by default OUT with the suffix .html.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the pictures.")] = 0,
) -> None:
    """Export, compare with FP32, and write the file if the budget is kept."""
    from dpiqa.export.gate.comparison import compare
    from dpiqa.export.gate.deliver import deliver
    from dpiqa.export.gate.pictures import read_pictures
    from dpiqa.export.gate.report import Report
    from dpiqa.export.graphs.quantized_student import export_quantized
    from dpiqa.export.graphs.student import sources
    from dpiqa.export.quantization.qdq import int8_share
    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.model_files import load_model, read_contract, save_model
    from dpiqa.train.students.quantizers import load_quantized

    spec = read_contract(load_model(reference), reference)
    student, about = load_quantized(checkpoint)
    if InputSpec(**about["input"]) != spec.input:
        raise InputError(f"{checkpoint}: takes another input than {reference}, they are not of the same student")
    if student.causes != spec.causes:
        raise InputError(f"{checkpoint}: names other causes than {reference}, they are not of the same student")
    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    pictures = read_pictures(images, spec.input, MIN_PICTURES, seed, without=frozenset(about["quantized"]["learned"]))
    if len(pictures) < budget.pictures:
        raise InputError(
            f"{images}: {len(pictures)} pictures that the student did not learn on, "
            f"the gate needs at least {budget.pictures} (--allow-few insists)"
        )
    changed = {"precision": "int8", "evaluated_on": (), "trained_on": sources(about)}
    with TemporaryDirectory() as folder:
        candidate = Path(folder, out.name)
        model = export_quantized(student, spec.input)
        save_model(model, spec.model_copy(update=changed), candidate)
        typer.echo(f"INT8: {int8_share(model):.1%} of the convolutions' work")
        found = compare(reference, candidate, pictures.frames, pictures.names, progress=True, mos=pictures.mos)
        learned = about["quantized"] | {"learned": len(about["quantized"]["learned"])}
        manifest = {"qat": learned, "int8_share_of_convolutions": int8_share(model)}
        title = f"{out.name}: INT8 after fine-tuning, against FP32"
        deliver(candidate, out, Report(title, comparison=found, budget=budget, manifest=manifest), report)


if __name__ == "__main__":
    run(main)

EXAMPLE = (
    "dpiqa export qat --checkpoint runs/mine-qat/best.pt --reference mine.onnx --images UNSEEN --out mine-int8.onnx"
)

"""Write what train.qat made as INT8 Q/DQ and prove it: `python -m export.qat --checkpoint FILE --reference FILE ...`.

The reference is the student as it was before, so the budget counts what quantization and fine-tuning changed together.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import onnx
import onnxslim
import torch
import typer

from runtime.command import run
from runtime.errors import InputError
from runtime.spec import InputSpec
from train.contract import load_model, read_contract, save_model
from train.quantizers import load_quantized
from train.student_model import Student

from .calibration import SOURCES, read_pictures
from .comparison import MIN_PICTURES, Budget, compare
from .onnx import OPSET, sources, without_traces
from .report import Report
from .sensitivity import int8_share
from .verify import deliver


def export_quantized(student: Student, spec: InputSpec) -> onnx.ModelProto:
    """The graph of a student with quantizers: Q/DQ around its convolutions, weights stored as int8."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    chatter = io.StringIO()
    with (
        TemporaryDirectory() as folder,
        contextlib.redirect_stdout(chatter),
        contextlib.redirect_stderr(chatter),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of the exporter that modelopt's quantizers need, and of its tracing
        from modelopt.onnx.quantization.qdq_utils import qdq_to_dq  # takes seconds and logs to the console

        file = Path(folder, "student.onnx")
        torch.onnx.export(
            student.eval(),
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["frames"],
            output_names=list(student.outputs),
            dynamic_axes={name: {0: "N"} for name in ("frames", *student.outputs)},
        )
        logging.getLogger("modelopt").setLevel(logging.ERROR)
        # Makes timm's padding part of the convolutions. Tied weights, ONNX Runtime cannot load once they are folded.
        options: Any = {"skip_optimizations": ["weight_tying"]}
        slim = onnxslim.slim(onnx.load(file), **options)
        assert isinstance(slim, onnx.ModelProto)
        model = qdq_to_dq(slim)
    del model.graph.value_info[:]  # says still that the weights are float
    return without_traces(model)


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

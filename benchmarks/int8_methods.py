"""One table: a model quantized plainly, repaired and fine-tuned, each against its FP32 on the same unseen pictures.

    python benchmarks/int8_methods.py --fp32 FILE --qat BEST.pt --calibration DIR --choose DIR --judge DIR --out CSV

The three sources of pictures must not overlap, nor contain what train.qat learned on.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import onnx
import pandas as pd
import typer

from export.calibration import MIN_CALIBRATION, SOURCES, enough, read_pictures
from export.contract import load_model, read_contract, save_model
from export.int8 import quantize_onnx
from export.qat import export_quantized
from export.repair import Candidates, repair
from export.sensitivity import int8_share, sensitivity
from export.verify import MIN_PICTURES, Budget, broken, compare
from runtime.command import run
from runtime.errors import GateError
from runtime.files import atomic_write
from train.quantizers import load_quantized

_FOR_SENSITIVITY = 16


def main(
    fp32: Annotated[Path, typer.Option(help="The FP32 model file.")],
    qat: Annotated[Path, typer.Option(help="best.pt of train.qat, started from the same student.")],
    calibration: Annotated[str, typer.Option(help=f"For the ranges: {SOURCES}.")],
    choose: Annotated[str, typer.Option(help="For choosing the repair.")],
    judge: Annotated[str, typer.Option(help="For the figures of the table.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    seed: Annotated[int, typer.Option(help="Draws the pictures.")] = 0,
) -> None:
    """Write one row for each way to INT8."""
    original = load_model(fp32)
    spec = read_contract(original, fp32)
    calibrating = enough(read_pictures(calibration, spec.input, 300, seed), calibration, MIN_CALIBRATION)
    choosing, judging = (read_pictures(text, spec.input, MIN_PICTURES, seed) for text in (choose, judge))
    rows = []

    def add(method: str, model: onnx.ModelProto, in_fp32: int = 0) -> None:
        candidate = Path(folder, "candidate.onnx")
        save_model(model, spec.model_copy(update={"precision": "int8", "evaluated_on": ()}), candidate)
        found = compare(fp32, candidate, judging.frames, judging.names, mos=judging.mos)
        rows.append({"model": spec.name, "method": method, "int8_share": int8_share(model), "layers_in_fp32": in_fp32}
                    | found.figures() | {"broken": "; ".join(broken(found, Budget()))})  # fmt: skip
        typer.echo(f"{method}: {found}; {rows[-1]['broken'] or 'keeps the budget'}")
        with atomic_write(out) as file:
            pd.DataFrame(rows).round(4).to_csv(file, index=False)

    with TemporaryDirectory() as folder:
        student, _ = load_quantized(qat)
        add("train.qat", export_quantized(student, spec.input))
        plain = quantize_onnx(fp32, calibrating.frames, "max")
        add("plain max", plain)
        ranked = list(sensitivity(plain, original, calibrating.frames[:_FOR_SENSITIVITY]))
        try:
            kept = repair(Candidates(plain, original, ranked), choosing, Budget(), 0.95, typer.echo)
        except GateError as error:
            typer.echo(str(error))
        else:
            add("repaired max", Candidates(plain, original, ranked).keeping(kept), len(kept))


if __name__ == "__main__":
    run(main)

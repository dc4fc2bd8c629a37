"""One table: a model quantized plainly, repaired and fine-tuned, each against its FP32 on the same unseen pictures.

    python benchmarks/int8_methods.py --fp32 FILE --qat BEST.pt --pictures NAME=PATH --out CSV

What train.qat learned on is left out; of the rest, 300 pictures give the ranges, 500 choose the repair and 500 others
give the figures.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import onnx
import pandas as pd
import typer

from dpiqa.errors import GateError
from dpiqa.export.gate.comparison import broken, compare
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.export.gate.pictures import read_pictures
from dpiqa.export.graphs.quantized_student import export_quantized
from dpiqa.export.quantization.qdq import int8_share
from dpiqa.export.quantization.quantize import divide, quantize_onnx
from dpiqa.export.quantization.repair import Candidates, repair
from dpiqa.export.quantization.sensitivity import sensitivity
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.model_files import load_model, read_contract, save_model
from dpiqa.train.students.quantizers import load_quantized

_CALIBRATION = 300
_PERCENTILE = 99.9
_FOR_SENSITIVITY = 16


def main(
    fp32: Annotated[Path, typer.Option(help="The FP32 model file.")],
    qat: Annotated[Path, typer.Option(help="best.pt of train.qat, started from the same student.")],
    pictures: Annotated[str, typer.Option(help=f"{SOURCES}.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    min_int8: Annotated[float, typer.Option(min=0, max=1, help="Of the convolutions' work, after the repair.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Draws the pictures.")] = 0,
) -> None:
    """Write one row for each way to INT8."""
    original = load_model(fp32)
    spec = read_contract(original, fp32)
    student, about = load_quantized(qat)
    learned = frozenset(about["quantized"]["learned"])
    drawn = read_pictures(pictures, spec.input, _CALIBRATION + 2 * MIN_PICTURES, seed, without=learned)
    calibrating, choosing, judging = divide(drawn, _CALIBRATION, choosing=True, few=False, text=pictures)
    rows = []

    def add(method: str, model: onnx.ModelProto, in_fp32: int = 0) -> None:
        candidate = Path(folder, "candidate.onnx")
        save_model(model, spec.model_copy(update={"precision": "int8", "evaluated_on": ()}), candidate)
        found = compare(fp32, candidate, judging.frames, judging.names, mos=judging.mos)
        rows.append({"model": fp32.stem, "method": method, "int8_share": int8_share(model), "layers_in_fp32": in_fp32}
                    | found.figures() | {"broken": "; ".join(broken(found, Budget()))})  # fmt: skip
        typer.echo(f"{method}: {found}; {rows[-1]['broken'] or 'keeps the budget'}")
        with atomic_write(out) as file:
            pd.DataFrame(rows).round(4).to_csv(file, index=False)

    with TemporaryDirectory() as folder:
        add("train.qat", export_quantized(student, spec.input))
        add("plain, max", quantize_onnx(fp32, calibrating.frames, "max"))
        plain = quantize_onnx(fp32, calibrating.frames, "percentile", _PERCENTILE)
        add(f"plain, percentile {_PERCENTILE}", plain)
        ranked = list(sensitivity(plain, original, calibrating.frames[:_FOR_SENSITIVITY]))
        try:
            kept = repair(Candidates(plain, original, ranked), choosing, Budget(), min_int8, typer.echo)
        except GateError as error:
            typer.echo(str(error))
        else:
            repaired = Candidates(plain, original, ranked).keeping(kept)
            add(f"repaired, percentile {_PERCENTILE}", repaired, len(kept))


if __name__ == "__main__":
    run(main)

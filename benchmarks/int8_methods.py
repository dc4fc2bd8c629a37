"""A model quantized plainly, repaired and fine-tuned, each compared with FP32 on the same unseen pictures.

    python benchmarks/int8_methods.py --fp32 FILE --qat BEST.pt --pictures NAME=PATH --out CSV

Pictures of the fine-tuning are left out; of the rest, 300 are for calibration, 500 for choosing the repair and 500
others for the metrics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import onnx
import pandas as pd
import typer

from dpiqa.errors import GateError
from dpiqa.export.gate.comparison import compare, violations
from dpiqa.export.gate.options import MIN_PICTURES, SOURCES, Budget
from dpiqa.export.gate.pictures import read_pictures
from dpiqa.export.graphs.model import Model, read_fp32
from dpiqa.export.graphs.quantized_student import export_quantized
from dpiqa.export.quantization.qdq import int8_share
from dpiqa.export.quantization.quantize import divide, insert_qdq
from dpiqa.export.quantization.repair import Candidates, repair
from dpiqa.export.quantization.sensitivity import sensitivity
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.students.quantizers import load_quantized

_CALIBRATION = 300
_PERCENTILE = 99.9
_FOR_SENSITIVITY = 16


def main(
    fp32: Annotated[Path, typer.Option(help="Path to the FP32 model file.")],
    qat: Annotated[Path, typer.Option(help="Path to best.pt of dpiqa train qat, started from the same student.")],
    pictures: Annotated[str, typer.Option(help=f"Pictures: {SOURCES}.")],
    out: Annotated[Path, typer.Option(help="Path of the CSV to write.")],
    min_int8: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum fraction of the convolutions' work in INT8.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed for choosing the pictures.")] = 0,
) -> None:
    """Write one row per method."""
    original = read_fp32(fp32)
    reference = original.engine()
    student, record = load_quantized(qat)
    learned = frozenset(record.quantization.file_names if record.quantization else ())
    samples = read_pictures(pictures, original.spec.input, _CALIBRATION + 2 * MIN_PICTURES, seed, without=learned)
    calibration, selection, unseen = divide(samples, _CALIBRATION, with_repair=True, few=False, text=pictures)
    rows = []

    def add(method: str, graph: onnx.ModelProto, in_fp32: int = 0) -> None:
        candidate = Model(graph, original.spec).declaring(precision="int8", evaluated_on=())
        comparison = compare(reference, candidate.engine(), unseen)
        rows.append({"model": fp32.stem, "method": method, "int8_share": int8_share(graph), "layers_in_fp32": in_fp32}
                    | comparison.metrics() | {"broken": "; ".join(violations(comparison, Budget()))})  # fmt: skip
        typer.echo(f"{method}: {comparison}; {rows[-1]['broken'] or 'keeps the budget'}")
        with atomic_write(out) as file:
            pd.DataFrame(rows).round(4).to_csv(file, index=False)

    add("train.qat", export_quantized(student, original.spec.input))
    add("plain, max", insert_qdq(original.graph, calibration.frames, "max"))
    plain = insert_qdq(original.graph, calibration.frames, "percentile", _PERCENTILE)
    add(f"plain, percentile {_PERCENTILE}", plain)
    ranked = list(sensitivity(plain, original.graph, calibration.frames[:_FOR_SENSITIVITY]))
    candidates = Candidates(plain, original.graph, ranked)
    try:
        layers = repair(candidates, selection, Budget(), min_int8, typer.echo)
    except GateError as error:
        typer.echo(str(error))
    else:
        add(f"repaired, percentile {_PERCENTILE}", candidates.keeping(layers), len(layers))


if __name__ == "__main__":
    run(main)

"""Compare the native core's scores with ONNX Runtime's, the reference, on photographs.

    python benchmarks/parity.py FOLDER [--count 500] [--csv FILE]

SRCC, mean and largest difference in points, for the shipped models.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from measured_on import measured_on
from rich.progress import track
from scipy.stats import spearmanr

from dpiqa import Scorer
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.program import run
from dpiqa.runtime.sources import expand, is_video


def main(
    folder: Annotated[str, typer.Argument(help="Path to a folder of photographs.")],
    count: Annotated[int, typer.Option(min=2)] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed for choosing the photographs.")] = 0,
    model: Annotated[list[str] | None, typer.Option(help="Model file, or name of a shipped model; repeatable.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Path of a CSV for the table.")] = None,
) -> None:
    """Score the same photographs with both engines, preprocessing included."""
    files = list(expand(folder))
    random.Random(seed).shuffle(files)
    files = list(islice((file for file in files if not is_video(file)), count))
    rows = []
    for name in model or [DEFAULT_MODEL, INT8_MODEL]:
        engines = [Scorer(name, engine=engine) for engine in ("onnxruntime", "openvino")]
        scores = [[engine.score(read_picture(file)).score for engine in engines] for file in track(files, name)]
        reference, native = np.array(scores).T
        difference = np.abs(reference - native)
        rows.append({"model": name, "weights": engines[0].spec.weights_sha256[:12], "photographs": len(files),
                     "srcc": spearmanr(reference, native)[0], "mean_points": difference.mean(),
                     "largest_points": difference.max()})  # fmt: skip
    table = pd.DataFrame(rows).assign(machine=measured_on("openvino", "onnxruntime", "opencv-python"))
    typer.echo(table.to_string(index=False))
    if csv:
        with atomic_write(csv) as file:
            table.to_csv(file, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)

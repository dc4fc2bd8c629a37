"""Compare the native core's scores with ONNX Runtime's, the reference, on photographs.

    python benchmarks/parity.py FOLDER [--count 500]

Prints SRCC, mean and largest difference in points for each shipped model.
"""

from __future__ import annotations

import random
from itertools import islice
from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from scipy.stats import spearmanr

from runtime import Scorer
from runtime.models import shipped_model
from runtime.pictures import read_picture
from runtime.sources import expand, is_video


def main(
    folder: Annotated[str, typer.Argument(help="A folder of photographs.")],
    count: Annotated[int, typer.Option(min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Draws the photographs.")] = 0,
) -> None:
    """Score the same photographs with both engines, preprocessing included."""
    files = list(expand(folder))
    random.Random(seed).shuffle(files)
    files = list(islice((file for file in files if not is_video(file)), count))
    for name in ("dpiqa-lite0", "dpiqa-lite0-int8"):
        engines = [Scorer(shipped_model(name), engine=engine) for engine in ("onnxruntime", "openvino")]
        scores = [[engine.score(read_picture(file)).score for engine in engines] for file in track(files, name)]
        reference, native = np.array(scores).T
        apart = np.abs(reference - native)
        print(f"{name}: {len(files)} photographs, SRCC {spearmanr(reference, native)[0]:.5f}, ", end="")
        print(f"mean difference {apart.mean():.5f}, largest {apart.max():.5f} points")


if __name__ == "__main__":
    typer.run(main)

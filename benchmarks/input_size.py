"""Agreement with people on validation pictures against time, by the size and shape of a model's input.

    python benchmarks/input_size.py --biq2021 PATH [--model FILE] [--out CSV] [--plot PNG]

The same weights at other sizes without new training, so a size near that of training has an advantage. The pictures are
the validation part of BIQ2021 in `dpiqa train student`: whole, which is square, and their middle 16:9 band, with the
MOS of the whole picture; a band is squashed to a square input, as video would be, or scored at an input of about its
own shape (for the map, sides are multiples of 32). Time is the median of the engine on one thread, with preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.progress import track

from dpiqa.export.graphs.transform import resized
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.machine import processor
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.program import run
from dpiqa.train.data.datasets import Sample, load
from dpiqa.train.data.splits import split
from dpiqa.train.loop.metrics import plcc, srcc
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.model_files import load_model, read_contract, save_model

_HERE = Path(__file__).parent


def whole(image: np.ndarray) -> np.ndarray:
    """The whole picture."""
    return image


def band(image: np.ndarray) -> np.ndarray:
    """The middle 16:9 band of a picture `[h, w, 3]`, at its full width."""
    height = min(len(image), round(image.shape[1] * 9 / 16))
    top = (len(image) - height) // 2
    return np.ascontiguousarray(image[top : top + height])


_VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"square": whole, "16:9": band}
_SETTINGS = [
    *(("square", (side, side)) for side in (192, 256, 288, 320, 384, 448, 512)),
    ("16:9", (384, 384)),
    ("16:9", (224, 384)),
    ("16:9", (288, 512)),
]


def measure(model: Path, samples: list[Sample], view: str, label: str) -> dict[str, object]:
    """One row: agreement with MOS and the median time per picture."""
    engine = open_engine(model, threads=1)
    scores, times_ms = [], []
    for sample in track(samples, label):
        image = _VIEWS[view](read_picture(sample.path))
        began = perf_counter()
        scores.append(engine.score(image).prediction.score)
        times_ms.append((perf_counter() - began) * 1000)
    predicted, mos = np.array(scores, np.float64), np.array([sample.mos for sample in samples])
    return {"srcc": srcc(predicted, mos), "plcc": plcc(predicted, mos), "ms": median(times_ms), "engine": engine.name}


def plot(rows: pd.DataFrame, file: Path) -> None:
    """SRCC against milliseconds, one line per shape of the pictures."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for view, group in rows.groupby("pictures", sort=False):
        axes.plot(group["ms"], group["srcc"], marker="o", linestyle="-" if view == "square" else "", label=view)
        for row in group.to_dict("records"):
            name = f"{row['height']}x{row['width']}"
            axes.annotate(name, (row["ms"], row["srcc"]), xytext=(4, -10), textcoords="offset points", fontsize=8)
    axes.set(xlabel="ms/picture, one thread", ylabel="SRCC on validation pictures")
    axes.legend(title="pictures")
    with atomic_write(file) as target:
        figure.savefig(target, format="png", dpi=120)


def main(
    biq2021: Annotated[Path, typer.Option(help="Path to BIQ2021.")],
    model: Annotated[Path | None, typer.Option(help="Path to a model file (default: the shipped FP32 one).")] = None,
    out: Annotated[Path, typer.Option(help="Path of the CSV to write.")] = _HERE / "input_size.csv",
    plotted: Annotated[Path, typer.Option("--plot", help="Path of the plot to write.")] = _HERE.parent
    / "docs/input_size.png",
) -> None:
    """Score the validation pictures at every size and shape."""
    samples = split(load("biq2021", biq2021), "official", Recipe.seed).val
    model = model or shipped_model()
    graph = load_model(model)
    spec = read_contract(graph, model)
    rows = []
    with TemporaryDirectory() as folder:
        for view, (height, width) in _SETTINGS:
            other = Path(folder) / f"{height}x{width}.onnx"
            save_model(*resized(graph, spec, height, width), other)
            metrics = measure(other, samples, view, f"{view} pictures at {height}x{width}")
            rows.append({"pictures": view, "height": height, "width": width} | metrics)
    table = pd.DataFrame(rows).assign(images=len(samples), model=model.name, machine=processor())
    with atomic_write(out) as file:
        table.to_csv(file, index=False, float_format="%.4g")
    plot(table, plotted)
    typer.echo(table[["pictures", "height", "width", "srcc", "plcc", "ms"]].to_string(index=False))


if __name__ == "__main__":
    run(main)

"""Squashed to a square or scored in their own shape: agreement with people for wide and tall pictures.

    python benchmarks/shapes.py --biq2021 DIR [--csv FILE]

BIQ2021's validation pictures, cut in the middle to each aspect; the MOS is that of the whole picture, the same for both
ways. FP32, one file for each shape. The interval is of the difference in SRCC, by bootstrap over the pictures.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from dpiqa.export.graphs.transform import resized
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.machine import processor
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.program import run
from dpiqa.train.data.datasets import load
from dpiqa.train.data.splits import split
from dpiqa.train.loop.metrics import plcc, srcc
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.model_files import load_model, read_contract, save_model

SQUARE = (384, 384)
SHAPES = {"16:9": (224, 384), "9:16": (384, 224), "4:3": (288, 384), "3:4": (384, 288)}
_RESAMPLED = 2000


def cut(image: np.ndarray, aspect: str) -> np.ndarray:
    """The largest middle part of a picture `[h, w, 3]` with an aspect such as "16:9"."""
    across, down = map(int, aspect.split(":"))
    height = min(image.shape[0], round(image.shape[1] * down / across))
    width = min(image.shape[1], round(image.shape[0] * across / down))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def interval(shaped: np.ndarray, squashed: np.ndarray, mos: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the difference in SRCC over resampled pictures."""
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(_RESAMPLED):
        chosen = rng.integers(0, len(mos), len(mos))
        differences.append(srcc(shaped[chosen], mos[chosen]) - srcc(squashed[chosen], mos[chosen]))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def open_at(model: Path, size: tuple[int, int], folder: Path) -> Engine:
    """An engine for the model at another height and width."""
    graph = load_model(model)
    file = folder / f"{size[0]}x{size[1]}.onnx"
    save_model(*resized(graph, read_contract(graph, model), *size), file)
    return open_engine(file, threads=1)


def main(
    biq2021: Annotated[Path, typer.Option(help="Path to BIQ2021.")],
    model: Annotated[Path | None, typer.Option(help="Path to a model file (default: the shipped FP32 one).")] = None,
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Score every cut both ways, and print one row for each aspect."""
    model = model or shipped_model()
    samples = split(load("biq2021", biq2021), "official", Recipe.seed).val
    mos = np.array([sample.mos for sample in samples])
    scores = {(aspect, way): np.empty(len(samples)) for aspect in SHAPES for way in ("squashed", "shaped")}
    with TemporaryDirectory() as folder:
        square = open_at(model, SQUARE, Path(folder))
        shaped = {aspect: open_at(model, size, Path(folder)) for aspect, size in SHAPES.items()}
        for place, sample in enumerate(samples):
            image = read_picture(sample.path)
            for aspect in SHAPES:
                part = cut(image, aspect)
                scores[aspect, "squashed"][place] = square.score(part).prediction.score
                scores[aspect, "shaped"][place] = shaped[aspect].score(part).prediction.score
    rows = []
    for aspect, (height, width) in SHAPES.items():
        before, after = scores[aspect, "squashed"], scores[aspect, "shaped"]
        low, high = interval(after, before, mos)
        row = {"aspect": aspect, "height": height, "width": width}
        row |= {"srcc_squashed": srcc(before, mos), "srcc_shaped": srcc(after, mos), "from": low, "to": high}
        row |= {"plcc_squashed": plcc(before, mos), "plcc_shaped": plcc(after, mos)}
        rows.append(row | {"mean_change": float((after - before).mean())})
    table = pd.DataFrame(rows).assign(images=len(samples), model=model.name, machine=processor())
    if out:
        with atomic_write(out) as file:
            table.to_csv(file, index=False, float_format="%.4g")
    typer.echo(table.drop(columns=["images", "model", "machine"]).to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    run(main)

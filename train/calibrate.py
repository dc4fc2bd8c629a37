"""Fit a model's scores to your own ratings: `python -m train.calibrate --model FILE --data csv=TABLE --out FILE`.

The fitted map is monotone, so the order of pictures stays; it becomes part of the graph, so every runtime applies it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import GateError, InputError
from dpiqa.runtime.program import run

_MAX_RELATIVE_ERROR = 0.95  # of the calibrated model; calibration must be worth it


def main(
    model: Annotated[Path, typer.Option(help="The model file (.onnx) to calibrate.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of rated pictures, csv=TABLE for your own; repeatable.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")],
) -> None:
    """Write a copy of a model with scores on the scale of your own ratings, at least 50 of them."""
    import numpy as np

    from dpiqa.train.data.datasets import load, parse_source
    from dpiqa.train.evaluation.score_map import (
        MIN_PICTURES,
        SPLIT,
        calibrated_spec,
        check,
        fit_map,
        held_out_error,
        with_map,
    )
    from dpiqa.train.evaluation.scores import score_samples
    from dpiqa.train.loop.metrics import rmse
    from dpiqa.train.model_files import load_model, read_contract, save_model

    graph = load_model(model)
    spec = read_contract(graph, model)
    if any(entry.split == SPLIT for entry in spec.trained_on):
        raise InputError(f"{model}: already calibrated, use the model that it was made from")
    sources = [(name, load(name, path)) for name, path in map(parse_source, data)]
    samples = [sample for _, part in sources for sample in part]
    rated = Counter(name for name, part in sources for _ in part)
    mos = np.array([sample.mos for sample in samples])
    if len(samples) < MIN_PICTURES:
        raise InputError(f"{', '.join(data)}: {len(samples)} rated pictures, at least {MIN_PICTURES} are needed")
    score = score_samples(model, samples, progress=True)
    check(score, mos)
    before = rmse(score, mos)
    after = held_out_error(score, mos, [sample.group for sample in samples])
    if after > _MAX_RELATIVE_ERROR * before:
        raise GateError(
            f"{out}: not written, the RMSE on held-out pictures would be {after:.2f} points with the map, "
            f"it is {before:.2f} without it"
        )
    mapped = fit_map(score, mos)
    save_model(with_map(graph, mapped), calibrated_spec(spec, rated), out)
    knots = ", ".join(f"{x:.0f} to {y:.0f}" for x, y in zip(mapped.x, mapped(mapped.x), strict=True))
    typer.echo(f"{out}: RMSE {before:.1f} points before, {after:.1f} after (on held-out pictures); {knots}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train calibrate --model mine.onnx --data csv=ratings.csv --out calibrated.onnx"

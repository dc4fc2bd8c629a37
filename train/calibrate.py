"""Fit a model's scores to the ratings of one's own pictures: `python -m train.calibrate --model FILE --data csv=TABLE`.

The fitted map is monotone, so the order of pictures stays; it becomes nodes of the graph, so every runtime obeys it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import GateError, InputError
from dpiqa.runtime.program import run

_WORTH_IT = 0.95


def main(
    model: Annotated[Path, typer.Option(help="The model file (.onnx) to calibrate.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of rated pictures, csv=TABLE for your own.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")],
) -> None:
    """Write a copy of a model whose scores lie on the scale of your own ratings, 50 or more."""
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
    from dpiqa.train.model_files import load_model, read_contract, save_model

    graph = load_model(model)
    spec = read_contract(graph, model)
    if any(entry.split == SPLIT for entry in spec.trained_on):
        raise InputError(f"{model}: is calibrated already, take the model that it was made from")
    sources = [(name, load(name, path)) for name, path in map(parse_source, data)]
    samples = [sample for _, part in sources for sample in part]
    rated = Counter(name for name, part in sources for _ in part)
    mos = np.array([sample.mos for sample in samples])
    if len(samples) < MIN_PICTURES:
        raise InputError(f"{', '.join(data)}: {len(samples)} rated pictures, at least {MIN_PICTURES} are needed")
    score = score_samples(model, samples, progress=True)
    check(score, mos)
    before, after = (
        float(np.sqrt(np.mean((score - mos) ** 2))),
        held_out_error(score, mos, [sample.group for sample in samples]),
    )
    if after > _WORTH_IT * before:
        raise GateError(
            f"{out}: not written, on pictures held out the map would be {after:.2f} points off (RMSE), "
            f"the model without it is {before:.2f}"
        )
    mapped = fit_map(score, mos)
    save_model(with_map(graph, mapped), calibrated_spec(spec, rated), out)
    knots = ", ".join(f"{x:.0f} to {y:.0f}" for x, y in zip(mapped.x, mapped(mapped.x), strict=True))
    typer.echo(f"{out}: {before:.1f} points off before, {after:.1f} on held-out pictures after (RMSE); {knots}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train calibrate --model mine.onnx --data csv=ratings.csv --out calibrated.onnx"

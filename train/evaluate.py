"""Compare a model with human opinion: `python -m train.evaluate --model FILE --data NAME=PATH`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.program import run
from dpiqa.train.evaluation.options import REFERENCE
from dpiqa.train.loop.memory import memory_advice


@memory_advice("use a smaller --batch")
def main(
    model: Annotated[Path, typer.Option(help="A checkpoint (.pt) or a model file (.onnx).")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; repeatable.")],
    split: Annotated[str, typer.Option(help="all, or a split whose test part is used: official or ratio:K.")] = "all",
    reference: Annotated[
        Path | None, typer.Option(help="Also report the drift from this model, such as its FP32 version.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    plots: Annotated[Path, typer.Option(help="Folder for a scatter plot per data set.")] = Path("plots"),
    batch: Annotated[int, typer.Option(min=1, help="Batch size of a checkpoint.")] = 16,
    engine: Annotated[
        str,
        typer.Option(help="Engine for model files: onnxruntime, openvino (far faster with INT8), tensorrt or auto."),
    ] = REFERENCE,
    weights: Annotated[
        str | None, typer.Option(help="Folder of a diffusion teacher's release, if it has moved.")
    ] = None,
) -> None:
    """Print SRCC, PLCC, KRCC and RMSE against MOS, with bootstrap 95 % intervals and per subset."""
    import numpy as np

    from dpiqa.runtime.engines.registry import open_engine
    from dpiqa.runtime.machine import processor
    from dpiqa.train.data.datasets import load, parse_source
    from dpiqa.train.data.splits import may_be_known
    from dpiqa.train.evaluation.results import drift, evaluate, print_tables, tested_part
    from dpiqa.train.evaluation.scores import predict_samples
    from dpiqa.train.loop.checkpoint import load_checkpoint
    from dpiqa.train.loop.plots import plot_scatter
    from dpiqa.train.loop.run import runner

    for file in filter(None, (model, reference)):
        if not file.is_file():
            raise InputError(f"{file}: no such file")
    results: dict[str, Any] = {"model": model.name, "split": split, "data": {}}
    if model.suffix == ".pt":
        sources = load_checkpoint(model).record.trained_on
    else:
        loaded = open_engine(model, engine)
        results["weights_sha256"] = loaded.spec.weights_sha256
        results["engine"] = f"{runner(loaded.name)} on {processor()}"
        sources = loaded.spec.trained_on
    options: dict[str, Any] = {"weights": weights, "batch": batch, "engine": engine}
    for name, path in map(parse_source, data):
        divisions = sorted({source.split for source in sources if source.name == name})
        if may_be_known(divisions, split):
            typer.echo(f"warning: {name}: {model.name} was trained on part of it ({', '.join(divisions)}), which "
                       f"--split {split} may not leave out: the metrics may be too good", err=True)  # fmt: skip
        everything = load(name, path)
        samples = tested_part(everything, split)
        if len(samples) < 2:
            raise InputError(f"{name}: {len(samples)} pictures to evaluate, at least two are needed")
        predictions = predict_samples(model, samples, progress=not as_json, **options)
        results["data"][name] = evaluate(predictions, samples, everything)
        if reference:
            expected = predict_samples(reference, samples, progress=not as_json, **options)
            results["data"][name]["drift"] = {"reference": reference.name} | drift(predictions, expected)
        plots.mkdir(parents=True, exist_ok=True)
        title = f"{model.stem} on {name}, {len(samples)} pictures"
        plot_scatter(
            scores_of(predictions), np.array([s.mos for s in samples]), title, plots / f"{model.stem}_{name}.png"
        )
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        print_tables(results)


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train evaluate --model mine.onnx --data clive=PATH --split all"

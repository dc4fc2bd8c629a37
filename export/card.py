"""Put measured metrics into the contracts and write the model card: `dpiqa export card --model FILE ...`.

The metrics come from `dpiqa train evaluate --json` and are checked against the targets; only the notes on use are
written by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run


def main(
    model: Annotated[list[Path], typer.Option(help="Path to a model file; repeatable, FP32 first.")],
    evaluation: Annotated[list[Path], typer.Option(help="Path to JSON of `dpiqa train evaluate`; repeatable.")],
    runs: Annotated[
        list[Path], typer.Option("--run", help="Path of a training run, for its recipe and log; repeatable, in order.")
    ],
    targets: Annotated[Path, typer.Option(help="Path to a CSV: figure,at_least,at_most,source.")],
    notes: Annotated[Path, typer.Option(help="Path to the notes on use, Markdown.")],
    out: Annotated[Path, typer.Option(help="Path of the card to write.")],
    order: Annotated[list[Path] | None, typer.Option(help="Path to CSV of `dpiqa train order`; repeatable.")] = None,
) -> None:
    """Write the metrics of each model into its contract, and one card for all of them."""
    import pandas as pd

    from dpiqa.export.cards.card import card, evaluations_of, load_results
    from dpiqa.export.cards.distortions import causes_table, distortions_table, each_distortion_table, same_causes
    from dpiqa.export.cards.tables import collect_metrics, targets_table
    from dpiqa.export.quantization.qdq import convolution_macs
    from dpiqa.train.model_files import load_model, read_contract, save_model

    results = load_results(evaluation)
    for file in model:
        graph = load_model(file)
        spec = read_contract(graph, file)
        evaluations = evaluations_of(spec, results)
        if not evaluations:
            raise InputError(f"{file}: none of the evaluations is of this file")
        save_model(graph, spec.model_copy(update={"evaluated_on": evaluations}), file)
    spec = read_contract(load_model(model[0]), model[0])
    orders = [pd.read_csv(file) for file in order or []]
    names = [file.name for file in model]
    parameters = json.loads((runs[-1] / "run.json").read_text())["parameters"]
    macs = sum(convolution_macs(load_model(model[0])).values())
    size = {"parameters, millions": parameters / 1e6, "GMACs": macs / 1e9}
    target_rows = targets_table(collect_metrics(names, results, orders, size), pd.read_csv(targets))
    distortions = f"## Distortions\n\n{distortions_table(orders)}\n\n" if orders else ""
    for order_rows in (rows for rows in orders if rows["model"].iloc[0] == names[0]):
        table = each_distortion_table(order_rows)
        distortions += f"Mean scores of `{names[0]}` by level, 0 without the distortion:\n\n{table}\n\n"
    if table := causes_table([result for result in results if result["model"] == names[0]]):
        distortions += f"Predictions of `{names[0]}` on the test sets:\n\n{table}\n\n"
    if agreement := same_causes(results):
        distortions += f"{agreement}\n\n"
    with atomic_write(out) as target:
        target.write(card(spec, model, results, runs, target_rows, notes.read_text(), distortions).encode())
    typer.echo(str(out))


if __name__ == "__main__":
    run(main)

EXAMPLE = (
    "dpiqa export card --model mine.onnx --evaluation results.json --run runs/mine --targets ta"
    "rgets.csv --notes notes.md --out card.md"
)

"""Put measured figures into the contracts and write the model card: `python -m export.card --model FILE ...`.

The figures come from `python -m train.evaluate --json`, and whether the targets are met is worked out from them; only
the notes on use are written by hand.
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
    model: Annotated[list[Path], typer.Option(help="A model file; FP32 first, then those made from it.")],
    evaluation: Annotated[list[Path], typer.Option(help="JSON of train.evaluate; may be given several times.")],
    runs: Annotated[
        list[Path], typer.Option("--run", help="A training run's folder, for its recipe and log; in order, if several.")
    ],
    targets: Annotated[Path, typer.Option(help="CSV: figure,at_least,at_most,source.")],
    notes: Annotated[Path, typer.Option(help="Markdown on what the model is not good for.")],
    out: Annotated[Path, typer.Option(help="The card to write.")],
    order: Annotated[
        list[Path] | None, typer.Option(help="CSV of train.order on one of the models; may be given several times.")
    ] = None,
) -> None:
    """Write each model's own figures into its contract, and one card for all of them."""
    import pandas as pd

    from dpiqa.export.cards.card import card, figures_of, load_results
    from dpiqa.export.cards.distortions import causes_table, each_fault_table, faults_table, same_causes
    from dpiqa.export.cards.tables import measured, targets_table
    from dpiqa.export.quantization.qdq import convolution_macs
    from dpiqa.train.model_files import load_model, read_contract, save_model

    results = load_results(evaluation)
    for file in model:
        graph = load_model(file)
        spec = read_contract(graph, file)
        figures = figures_of(spec, results)
        if not figures:
            raise InputError(f"{file}: none of the evaluations is of this file")
        save_model(graph, spec.model_copy(update={"evaluated_on": figures}), file)
    spec = read_contract(load_model(model[0]), model[0])
    orders = [pd.read_csv(file) for file in order or []]
    names = [file.name for file in model]
    parameters = json.loads((runs[-1] / "run.json").read_text())["parameters"]
    macs = sum(convolution_macs(load_model(model[0])).values())
    size = {"parameters, millions": parameters / 1e6, "GMACs": macs / 1e9}
    aims = targets_table(measured(names, results, orders, size), pd.read_csv(targets))
    faults = f"## Faults\n\n{faults_table(orders)}\n\n" if orders else ""
    for found in (order for order in orders if order["model"].iloc[0] == names[0]):
        faults += f"Mean scores of `{names[0]}` by level, 0 without the fault:\n\n{each_fault_table(found)}\n\n"
    if table := causes_table([result for result in results if result["model"] == names[0]]):
        faults += f"What `{names[0]}` says of the pictures of the test sets:\n\n{table}\n\n"
    if told := same_causes(results):
        faults += f"{told}\n\n"
    with atomic_write(out) as target:
        target.write(card(spec, model, results, runs, aims, notes.read_text(), faults).encode())
    typer.echo(str(out))


if __name__ == "__main__":
    run(main)

EXAMPLE = (
    "dpiqa export card --model mine.onnx --evaluation results.json --run runs/mine --targets ta"
    "rgets.csv --notes notes.md --out card.md"
)

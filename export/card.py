"""Put measured figures into the contracts and write the model card: `python -m export.card --model FILE ...`.

The figures come from `python -m train.evaluate --json`, and whether the targets are met is worked out from them; only
the notes on use are written by hand.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.spec import EvaluatedOn, ModelSpec
from train.contract import load_model, read_contract, save_model
from train.datasets import TERMS
from train.faults import made_of

from .card_faults import causes_table, each_fault_table, faults_table, same_causes
from .card_tables import measured, results_table, targets_table, unseen_part
from .sensitivity import convolution_macs


def load_results(files: list[Path]) -> list[dict[str, Any]]:
    """Read evaluation JSON files, as printed by train.evaluate."""
    results = []
    for file in files:
        try:
            results.append(json.loads(file.read_text()))
            _ = results[-1]["model"], results[-1]["split"], results[-1]["data"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not the JSON of train.evaluate ({error})") from None
    return results


def figures_of(spec: ModelSpec, results: list[dict[str, Any]]) -> tuple[EvaluatedOn, ...]:
    """The contract's entries for one model: the results that were measured with just these weights.

    Raises InputError when a result may have been measured on pictures that the model was trained on.
    """
    return tuple(
        EvaluatedOn(name=name, split=unseen_part(spec, name, result["split"]),
                    **{key: row[key] for key in ("images", "srcc", "plcc", "rmse")})
        for result in results
        if result.get("weights_sha256") == spec.weights_sha256
        for name, row in result["data"].items()
    )  # fmt: skip


def card(
    spec: ModelSpec,
    files: list[Path],
    results: list[dict[str, Any]],
    runs: list[Path],
    targets: str,
    notes: str,
    faults: str = "",
) -> str:
    """The model card in Markdown: contract, figures with intervals, targets, data and terms, recipe, notes on use."""
    facts = json.loads((runs[-1] / "run.json").read_text())
    data = "\n".join(f"- **{t.name}** ({t.split} split): {t.images} pictures; {t.licence}." for t in spec.trained_on)
    tested = "\n".join(
        f"- **{name}**: {TERMS[name].licence}." for name in sorted({n for r in results for n in r["data"]})
    )
    sizes = ", ".join(f"`{file.name}` {file.stat().st_size / 1e6:.1f} MB" for file in files)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "timm", "onnx", "onnxruntime", "nvidia-modelopt")
    )
    return f"""# {spec.name} {spec.version}

Blind picture quality, 0 to 100, higher is better: {spec.score.scale}.
Files: {sizes}. Licence of code and weights: {spec.licence}.

| | |
| --- | --- |
| network | {facts["student"]["arch"]}, {facts["parameters"] / 1e6:.2f}M parameters |
| input `frames` | uint8 [N, {spec.input.height}, {spec.input.width}, 3], RGB, resize rule `{spec.input.resize}` |
| output `score` | float32 [N], {spec.score.minimum:g} to {spec.score.maximum:g} |{_causes_row(spec)}

## Figures

{results_table(spec, results)}

In brackets: 95 % bootstrap intervals (1,000 resamples of the pictures). `no near-duplicate` leaves out test pictures of
which the authors' training part holds a near-duplicate. Scored one picture at a time, with {_engines(results)}.

{faults}## Targets

{targets}

## Data

Trained on:

{data}

Training pictures that are near-duplicates of a test picture were dropped; validation was drawn by near-duplicate group.
Tested on:

{tested}

## Recipe

{_recipes(runs)}

{notes.strip()}

Made by `python -m export.card` with {packages} on Python {platform.python_version()}.
"""


def _engines(results: list[dict[str, Any]]) -> str:
    """What scored the pictures; results that do not tell are from when ONNX Runtime alone did."""
    return " and ".join(sorted({result.get("engine", "onnxruntime") for result in results}))


def _recipes(runs: list[Path]) -> str:
    """How each run was made, and what it held on validation."""
    parts = []
    for number, folder in enumerate(runs, 1):
        recipe = json.loads((folder / "run.json").read_text())
        numbers = ", ".join(f"{key} {value}" for key, value in recipe["recipe"].items() if value not in (None, []))
        which = f"Run {number}: " if len(runs) > 1 else ""
        command = recipe.get("command", "train.student")
        parts.append(
            f"{which}`python -m {command}`, starting from {recipe['start']}: {numbers}.{_lessons(recipe)}\n"
            f"Trained on {recipe['hardware']}.{_repeat(recipe)}\n\n{_history(pd.read_csv(folder / 'log.csv'))}"
        )
    return "\n\n".join([*parts, "No test set took part."])


def _history(epochs: pd.DataFrame) -> str:
    """One row an epoch; of a run with made faults also what it held on photographs held out."""
    columns = {"epoch": ("epoch", ".0f"), "loss": ("training loss", ".3f"),
               "cause_loss": ("loss of the causes, last epoch", ".3f"), "map_loss": ("loss of the map, mean", ".3f"),
               "val_srcc": ("validation SRCC", ".4f"), "val_plcc": ("validation PLCC", ".4f"),
               "val_order": ("levels in order", ".4f"), "val_cause": ("causes right", ".4f"),
               "val_map": ("the map falls by, points", ".4f"), "minutes": ("minutes", ".1f")}  # fmt: skip
    epochs = epochs.assign(minutes=epochs["train_seconds"] / 60)
    shown = {name: column for name, column in columns.items() if name in epochs}
    rows = [[title for title, _ in shown.values()], ["---"] * len(shown)]
    rows += [[format(row[name], shape) for name, (_, shape) in shown.items()] for row in epochs.to_dict("records")]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    chosen = "\n\nThe epoch with the best validation SRCC + PLCC went on, the last of equals."
    return table + (chosen if "val_srcc" in shown else "")


def _repeat(recipe: dict[str, Any]) -> str:
    if "metrics_sha256" not in recipe:
        return ""
    again = "the same seed on the same machine with as many threads gives it again"
    return f"\nSHA-256 of the log without its times: `{recipe['metrics_sha256']}`; {again}."


def _lessons(recipe: dict[str, Any]) -> str:
    """What a run tells of the faults that it learned from; nothing where there were none."""
    if "faults" not in recipe:
        return ""
    faults = recipe["faults"]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in faults["weights"].items())
    seen = ", ".join(f"{entry['name']} ({entry['images']})" for entry in faults["pristine"])
    batch = recipe["recipe"]["batch"]
    made = made_of(batch, faults["share"])
    told = (
        f"Made faults (`train.faults`) were {made} of {batch} pictures in every batch, on {seen}; weights: {weights}."
    )
    frozen = ", ".join(recipe.get("frozen", []))
    return f"\n{told}" + (f" The trunk and what gives {frozen} stayed as they were." if frozen else "")


def _causes_row(spec: ModelSpec) -> str:
    count = len(spec.causes)
    return f"\n| output `causes` | float32 [N, {count}], 0 to 1: {', '.join(spec.causes)} |" if count else ""


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

"""Put measured figures into the contracts and write the model card: `python -m export.card --model FILE ...`.

The figures come from `python -m train.evaluate --json`, and whether the targets are met is worked out from them; only
the notes on use are written by hand.
"""

from __future__ import annotations

import json
import math
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
from train.order import ALL


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


def unseen_part(spec: ModelSpec, name: str, split: str) -> str:
    """Name the part of a data set that was evaluated; InputError when training may have seen it."""
    trained = next((entry.split for entry in spec.trained_on if entry.name == name), None)
    if trained is None:
        return "all pictures, none seen in training" if split == "all" else split
    keeps_official_test = trained in ("official", "grouped") or trained.startswith("leave:")
    if split != trained and not (split == "official" and keeps_official_test):
        raise InputError(f"{name}: evaluated on split '{split}', but trained on '{trained}': pictures may be the same")
    return "official test" if split == "official" else split


def results_table(spec: ModelSpec, results: list[dict[str, Any]]) -> str:
    """One row for each model, data set and subset, with 95 % intervals for the whole sets."""
    lines = ["| model | data | pictures | SRCC | PLCC | PLCC fitted | KRCC | RMSE |", "| --- " * 8 + "|"]
    for result in results:
        for name, whole in result["data"].items():
            label = f"{name}, {unseen_part(spec, name, result['split'])}"
            for subset, row in [("", whole), *whole["subsets"].items()]:
                low_high = whole["interval_95"] if not subset else {}
                cells = [_figure(row, key, low_high) for key in ("srcc", "plcc", "plcc_fitted", "krcc")]
                cells.append(f"{row['rmse']:.1f}")
                place = f"... {subset}" if subset else label
                lines.append(f"| {result['model']} | {place} | {row['images']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(row: dict[str, float], key: str, intervals: dict[str, list[float]]) -> str:
    low, high = intervals.get(key, (None, None))
    return f"{row[key]:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")


def targets_table(models: list[str], results: list[dict[str, Any]], targets: pd.DataFrame) -> str:
    """What was aimed at and what was found, one row a target.

    `targets` has the columns data, srcc_at_least, int8_loses_at_most (either may be empty) and source; `models` are
    file names, FP32 first, then INT8.
    """
    srcc = {(r["model"], name): row["srcc"] for r in results for name, row in r["data"].items()}
    lines = ["| target | found | |", "| --- | --- | --- |"]
    for target in targets.to_dict("records"):
        data, floor, budget = target["data"], target["srcc_at_least"], target["int8_loses_at_most"]
        if any((model, data) not in srcc for model in models):
            raise InputError(f"{data}: a target, but not all models were evaluated on it")
        reference, *smaller = (srcc[model, data] for model in models)
        if pd.notna(floor):
            aim = f"{data}: SRCC at least {floor:g} ({target['source']})"
            lines.append(f"| {aim} | {reference:.4f} | {_met(reference >= floor)} |")
        for loss in [reference - int8 for int8 in smaller] if pd.notna(budget) else []:
            lines.append(f"| {data}: INT8 loses at most {budget:g} SRCC | {loss:.4f} | {_met(loss <= budget)} |")
    return "\n".join(lines)


_MEASURES = {
    "order": "adjacent levels in order, {}",
    "cause": "strongest cause right, {}",
    "stability": "largest deviation in points, {}",
}


def faults_table(orders: list[pd.DataFrame]) -> str:
    """What train.order found, a column for each model: order of scores, causes named right, stability."""
    columns = [_measured(found) for found in orders]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise InputError("the tables of train.order do not hold the same measures, make them anew")
    models = [str(found["model"].iloc[0]) for found in orders]
    lines = [f"| | {' | '.join(models)} |", "| --- " * (len(models) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(column[label] for column in columns)} |" for label in columns[0]]
    pictures = orders[0]["pictures"].iloc[0]
    return "\n".join([*lines, "", f"`train.order`: every fault at five levels on {pictures} photographs held out."])


def _measured(found: pd.DataFrame) -> dict[str, str]:
    shown = {}
    for row in found.to_dict("records"):
        if row["measure"] == "order" and row["name"] != ALL:
            continue
        figure = f"{row['value']:.1f}" if row["measure"] == "stability" else f"{row['value']:.1%}"
        shown[_MEASURES[row["measure"]].format(row["name"].replace("_", " "))] = figure
        if (right := float(row.get("cause_right", math.nan))) >= 0:  # NaN where it is not measured
            shown[_MEASURES["cause"].format("all faults")] = f"{right:.1%}"
    return shown


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def card(
    spec: ModelSpec,
    files: list[Path],
    results: list[dict[str, Any]],
    run_folder: Path,
    targets: str,
    notes: str,
    faults: str = "",
) -> str:
    """The model card in Markdown: contract, figures with intervals, targets, data and terms, recipe, notes on use."""
    recipe = json.loads((run_folder / "run.json").read_text())
    epochs = pd.read_csv(run_folder / "log.csv")
    data = "\n".join(f"- **{t.name}** ({t.split} split): {t.images} pictures; {t.licence}." for t in spec.trained_on)
    tested = "\n".join(
        f"- **{name}**: {TERMS[name].licence}." for name in sorted({n for r in results for n in r["data"]})
    )
    sizes = ", ".join(f"`{file.name}` {file.stat().st_size / 1e6:.1f} MB" for file in files)
    numbers = ", ".join(f"{key} {value}" for key, value in recipe["recipe"].items())
    history = "\n".join(
        f"| {row['epoch']:.0f} | {row['loss']:.3f} | {row['val_srcc']:.4f} | {row['val_plcc']:.4f} "
        f"| {row['train_seconds'] / 60:.1f} |"
        for row in epochs.to_dict("records")
    )
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "timm", "onnx", "onnxruntime", "nvidia-modelopt")
    )
    return f"""# {spec.name} {spec.version}

Blind picture quality, 0 to 100, higher is better: {spec.score.scale}.
Files: {sizes}. Licence of code and weights: {spec.licence}.

| | |
| --- | --- |
| network | {recipe["student"]["arch"]}, {recipe["parameters"] / 1e6:.2f}M parameters |
| input `frames` | uint8 [N, {spec.input.height}, {spec.input.width}, 3], RGB, resize rule `{spec.input.resize}` |
| output `score` | float32 [N], {spec.score.minimum:g} to {spec.score.maximum:g} |{_causes_row(spec)}

## Figures

{results_table(spec, results)}

In brackets: 95 % bootstrap intervals (1,000 resamples of the pictures). `no near-duplicate` leaves out test pictures of
which the authors' training part holds a near-duplicate. Scored with ONNX Runtime, one picture at a time.

{faults}## Targets

{targets}

## Data

Trained on:

{data}

Training pictures that are near-duplicates of a test picture were dropped; validation was drawn by near-duplicate group.
Tested on:

{tested}

## Recipe

`python -m train.student`, starting from {recipe["start"]}: {numbers}.{_lessons(recipe)}
Trained on {recipe["hardware"]}. The epoch with the best validation SRCC + PLCC was exported; test
sets took no part in that choice.

| epoch | training loss | validation SRCC | validation PLCC | minutes |
| --- | --- | --- | --- | --- |
{history}

{notes.strip()}

Made by `python -m export.card` with {packages} on Python {platform.python_version()}.
"""


def _lessons(recipe: dict[str, Any]) -> str:
    """What a run tells of the faults that it learned from; nothing where there were none."""
    if "faults" not in recipe:
        return ""
    faults = recipe["faults"]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in faults["weights"].items())
    seen = ", ".join(f"{entry['name']} ({entry['images']})" for entry in faults["pristine"])
    return f"\nMade faults (`train.faults`) were {faults['share']:.0%} of every batch, on {seen}; weights: {weights}."


def _causes_row(spec: ModelSpec) -> str:
    count = len(spec.causes)
    return f"\n| output `causes` | float32 [N, {count}], 0 to 1: {', '.join(spec.causes)} |" if count else ""


def main(
    model: Annotated[list[Path], typer.Option(help="A model file; FP32 first, then those made from it.")],
    evaluation: Annotated[list[Path], typer.Option(help="JSON of train.evaluate; may be given several times.")],
    run_folder: Annotated[Path, typer.Option("--run", help="The training run's folder, for its recipe and log.")],
    targets: Annotated[Path, typer.Option(help="CSV: data,srcc_at_least,int8_loses_at_most,source.")],
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
    aims = targets_table([file.name for file in model], results, pd.read_csv(targets))
    faults = f"## Faults\n\n{faults_table([pd.read_csv(file) for file in order])}\n\n" if order else ""
    with atomic_write(out) as target:
        target.write(card(spec, model, results, run_folder, aims, notes.read_text(), faults).encode())
    typer.echo(str(out))


if __name__ == "__main__":
    run(main)

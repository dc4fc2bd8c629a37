"""The text of a model card."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from dpiqa.errors import InputError
from dpiqa.export.cards.tables import results_table, unseen_part
from dpiqa.runtime.spec import EvaluatedOn, ModelSpec
from dpiqa.train.data.terms import TERMS
from dpiqa.train.distortions.frames import distorted_count


def load_results(files: list[Path]) -> list[dict[str, Any]]:
    """Read JSON files printed by `dpiqa train evaluate --json`."""
    results = []
    for file in files:
        try:
            results.append(json.loads(file.read_text()))
            _ = results[-1]["model"], results[-1]["split"], results[-1]["data"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not the JSON of dpiqa train evaluate ({error})") from None
    return results


def evaluations_of(spec: ModelSpec, results: list[dict[str, Any]]) -> tuple[EvaluatedOn, ...]:
    """The contract's entries for one model: the results measured with exactly these weights.

    Raises InputError when a result may have been measured on training pictures.
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
    distortions: str = "",
) -> str:
    """The model card in Markdown: contract, metrics with intervals, targets, data and terms, recipe, notes on use."""
    record = json.loads((runs[-1] / "run.json").read_text())
    data = "\n".join(f"- **{t.name}** ({t.split} split): {t.images} pictures; {t.licence}." for t in spec.trained_on)
    tested = "\n".join(
        f"- **{name}**: {TERMS[name].licence}." for name in sorted({n for r in results for n in r["data"]})
    )
    sizes = ", ".join(f"`{file.name}` {file.stat().st_size / 1e6:.1f} MB" for file in files)
    shapes = " or ".join(f"[N, {shape.height}, {shape.width}, 3]" for shape in spec.input.shapes)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "timm", "onnx", "onnxruntime", "nvidia-modelopt")
    )
    return f"""# {spec.name} {spec.version}

Blind picture quality, 0 to 100, higher is better: {spec.score.scale}.
Files: {sizes}. Licence of code and weights: {spec.licence}.

| | |
| --- | --- |
| network | {record["student"]["arch"]}, {record["parameters"] / 1e6:.2f}M parameters |
| input `frames` | uint8 {shapes}, RGB, resize rule `{spec.input.resize}` |
| output `score` | float32 [N], {spec.score.minimum:g} to {spec.score.maximum:g} |{_causes_row(spec)}

## Metrics

{results_table(spec, results)}

In parentheses: 95 % bootstrap intervals (1,000 resamples of the pictures). `no near-duplicate` leaves out test pictures
with a near-duplicate in the authors' training part. Scored one picture at a time, with {_engines(results)}.

{distortions}## Targets

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

Written by `dpiqa export card` with {packages} on Python {platform.python_version()}.
"""


def _engines(results: list[dict[str, Any]]) -> str:
    """The engines that scored the pictures; older results do not name theirs, which was ONNX Runtime."""
    return " and ".join(sorted({result.get("engine", "onnxruntime") for result in results}))


def _recipes(runs: list[Path]) -> str:
    """The recipe of each run, and its validation metrics."""
    parts = []
    for number, folder in enumerate(runs, 1):
        recipe = json.loads((folder / "run.json").read_text())
        numbers = ", ".join(f"{key} {value}" for key, value in recipe["recipe"].items() if value not in (None, []))
        which = f"Run {number}: " if len(runs) > 1 else ""
        command = recipe.get("command", "train.student").replace(".", " ").replace("_", "-")
        parts.append(
            f"{which}`dpiqa {command}`, starting from {recipe['start']}: {numbers}.{_distortions(recipe)}\n"
            f"Trained on {recipe['hardware']}.{_reproduction(recipe)}\n\n{_history(pd.read_csv(folder / 'log.csv'))}"
        )
    return "\n\n".join([*parts, "No test set was used."])


def _history(epochs: pd.DataFrame) -> str:
    """One row per epoch, with the metrics of distortions on held-out photographs for a run that learned from them."""
    columns = {"epoch": ("epoch", ".0f"), "loss": ("training loss", ".3f"),
               "cause_loss": ("cause loss, last epoch", ".3f"), "map_loss": ("map loss, mean", ".3f"),
               "val_srcc": ("validation SRCC", ".4f"), "val_plcc": ("validation PLCC", ".4f"),
               "val_order": ("levels in order", ".4f"), "val_cause": ("causes right", ".4f"),
               "val_map": ("map drop, points", ".4f"), "minutes": ("minutes", ".1f")}  # fmt: skip
    epochs = epochs.assign(minutes=epochs["train_seconds"] / 60)
    logged = {name: column for name, column in columns.items() if name in epochs}
    rows = [[title for title, _ in logged.values()], ["---"] * len(logged)]
    rows += [[format(row[name], shape) for name, (_, shape) in logged.items()] for row in epochs.to_dict("records")]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    chosen = "\n\nThe epoch with the best validation SRCC + PLCC was kept, the last of equals."
    return table + (chosen if "epoch" in logged else "")


def _reproduction(recipe: dict[str, Any]) -> str:
    if "metrics_sha256" not in recipe:
        return ""
    return (
        f"\nSHA-256 of the log without its times: `{recipe['metrics_sha256']}`; "
        "the same seed on the same machine with as many threads reproduces it."
    )


def _distortions(recipe: dict[str, Any]) -> str:
    """The distortions that a run learned from; empty if there were none."""
    if "faults" not in recipe:
        return ""
    distortions = recipe["faults"]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in distortions["weights"].items())
    photographs = ", ".join(f"{entry['name']} ({entry['images']})" for entry in distortions["pristine"])
    batch = recipe["recipe"]["batch"]
    count = distorted_count(batch, distortions["share"])
    frozen = ", ".join(recipe.get("frozen", []))
    return f"\nDistorted pictures: {count} of {batch} in every batch, from {photographs}; weights: {weights}." + (
        f" The trunk and the head of {frozen} stayed as they were." if frozen else ""
    )


def _causes_row(spec: ModelSpec) -> str:
    count = len(spec.causes)
    return f"\n| output `causes` | float32 [N, {count}], 0 to 1: {', '.join(spec.causes)} |" if count else ""

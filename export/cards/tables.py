"""The model card's tables: agreement with people, faults, INT8 against FP32, and what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from dpiqa.errors import InputError
from dpiqa.runtime.spec import ModelSpec
from dpiqa.train.data.splits import may_be_known
from dpiqa.train.evaluation.order import ALL


def unseen_part(spec: ModelSpec, name: str, split: str) -> str:
    """Name the part of a data set that was evaluated; InputError when training may have seen it."""
    divisions = [entry.split for entry in spec.trained_on if entry.name == name]
    if not divisions:
        return "all pictures, none seen in training" if split == "all" else split
    if may_be_known(divisions, split):
        raise InputError(
            f"{name}: evaluated on split '{split}', but trained on '{', '.join(divisions)}': pictures may be the same"
        )
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


def measured(
    models: list[str], results: list[dict[str, Any]], orders: list[pd.DataFrame], size: dict[str, float]
) -> dict[str, float]:
    """Every figure that a target may name; `models` are file names, FP32 first, then those made from it.

    Agreement, faults and stability are the FP32 model's, losses and drift the largest of the others.
    """
    rows = {(result["model"], name): row for result in results for name, row in result["data"].items()}
    found = dict(size)
    for (model, name), row in rows.items():
        if model == models[0]:
            found |= {f"{name} SRCC": row["srcc"], f"{name} PLCC": row["plcc"]}
            found |= {f"{name} {subset} SRCC": part["srcc"] for subset, part in row["subsets"].items()}
        elif model in models and (models[0], name) in rows:
            for what, value in _lost(row, rows[models[0], name]):
                key = f"{name} {what} of INT8"
                found[key] = max(value, found.get(key, -math.inf))
    for order in orders:
        if order["model"].iloc[0] != models[0]:
            continue
        for row in order.to_dict("records"):
            if row["name"] == ALL:
                found |= {"levels in order": row["value"], "causes right": row.get("cause_right", math.nan)}
            elif row["measure"] == "stability":
                found[row["name"].replace("_", " ")] = row["value"]
    return found


def _lost(row: dict[str, Any], reference: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield "SRCC loss", reference["srcc"] - row["srcc"]
    for which in ("mean", "largest"):
        if "drift" in row:
            yield f"{which} drift", row["drift"][which]


def targets_table(found: dict[str, float], targets: pd.DataFrame) -> str:
    """What was aimed at and what was found, one row a target.

    `targets` has the columns figure (a key of `found`), at_least or at_most (the other is empty), and source.
    """
    lines = ["| target | found | |", "| --- | --- | --- |"]
    for target in targets.to_dict("records"):
        figure, floor, ceiling = target["figure"], target["at_least"], target["at_most"]
        if math.isnan(value := found.get(figure, math.nan)):
            raise InputError(f"{figure}: a target, but not measured; what is: {', '.join(found)}")
        limit, met = (f"at least {floor:g}", value >= floor) if pd.notna(floor) else (
            f"at most {ceiling:g}", value <= ceiling)  # fmt: skip
        source = f" ({target['source']})" if isinstance(target["source"], str) and target["source"] else ""
        lines.append(f"| {figure}: {limit}{source} | {value:.4g} | {'met' if met else '**missed**'} |")
    return "\n".join(lines)

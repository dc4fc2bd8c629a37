"""The model card's tables: agreement with people, faults, INT8 against FP32, and what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from runtime.errors import InputError
from runtime.spec import ModelSpec
from train.order import ALL

_MEASURES = {
    "order": "adjacent levels in order, {}",
    "cause": "strongest cause right, {}",
    "stability": "largest deviation in points, {}",
}


def unseen_part(spec: ModelSpec, name: str, split: str) -> str:
    """Name the part of a data set that was evaluated; InputError when training may have seen it."""
    divisions = [entry.split for entry in spec.trained_on if entry.name == name]
    if not divisions:
        return "all pictures, none seen in training" if split == "all" else split
    for trained in divisions:
        keeps_official_test = trained in ("official", "grouped") or trained.startswith("leave:")
        if split != trained and not (split == "official" and keeps_official_test):
            raise InputError(
                f"{name}: evaluated on split '{split}', but trained on '{trained}': pictures may be the same"
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


def causes_table(results: list[dict[str, Any]]) -> str:
    """How many pictures of each data set have a cause for their strongest, and their mean MOS; "" without causes."""
    found = {name: row["causes"] for result in results for name, row in result["data"].items() if "causes" in row}
    if not found:
        return ""
    lines = [f"| strongest cause | {' | '.join(f'{name}: pictures | mean MOS' for name in found)} |"]
    lines.append("| --- " * (1 + 2 * len(found)) + "|")
    for cause in next(iter(found.values())):
        cells = [cause]
        for rows in found.values():
            mean = rows[cause]["mean_mos"]
            cells += [str(rows[cause]["images"]), "" if mean is None else f"{mean:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def faults_table(orders: list[pd.DataFrame]) -> str:
    """What train.order found, a column for each model: order of scores, causes named right, stability."""
    columns = [_of_faults(found) for found in orders]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise InputError("the tables of train.order do not hold the same measures, make them anew")
    models = [str(found["model"].iloc[0]) for found in orders]
    lines = [f"| | {' | '.join(models)} |", "| --- " * (len(models) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(column[label] for column in columns)} |" for label in columns[0]]
    pictures = orders[0]["pictures"].iloc[0]
    return "\n".join([*lines, "", f"`train.order`: every fault at five levels on {pictures} photographs held out."])


def _of_faults(found: pd.DataFrame) -> dict[str, str]:
    shown = {}
    for row in found.to_dict("records"):
        if row["measure"] == "order" and row["name"] != ALL:
            continue
        figure = f"{row['value']:.1f}" if row["measure"] == "stability" else f"{row['value']:.1%}"
        shown[_MEASURES[row["measure"]].format(row["name"].replace("_", " "))] = figure
        if (right := float(row.get("cause_right", math.nan))) >= 0:  # NaN where it is not measured
            shown[_MEASURES["cause"].format("all faults")] = f"{right:.1%}"
    return shown


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
    for which, points in row.get("drift", {}).items():
        if which != "reference":
            yield f"{which} drift", points


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

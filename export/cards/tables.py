"""The model card's tables: agreement with people, INT8 against FP32, and targets."""

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
    """Name the evaluated part of a data set; InputError when it may overlap the training data."""
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
                cells = [_metric(row, key, low_high) for key in ("srcc", "plcc", "plcc_fitted", "krcc")]
                cells.append(f"{row['rmse']:.1f}")
                place = f"... {subset}" if subset else label
                lines.append(f"| {result['model']} | {place} | {row['images']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _metric(row: dict[str, float], key: str, intervals: dict[str, list[float]]) -> str:
    low, high = intervals.get(key, (None, None))
    return f"{row[key]:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")


def collect_metrics(
    models: list[str], results: list[dict[str, Any]], orders: list[pd.DataFrame], size: dict[str, float]
) -> dict[str, float]:
    """All metrics that a target may name; `models` are file names, FP32 first, then those derived from it.

    Agreement, distortions and stability are those of the FP32 model, losses and drift the largest of the others.
    """
    rows = {(result["model"], name): row for result in results for name, row in result["data"].items()}
    metrics = dict(size)
    for (model, name), row in rows.items():
        if model == models[0]:
            metrics |= {f"{name} SRCC": row["srcc"], f"{name} PLCC": row["plcc"]}
            metrics |= {f"{name} {subset} SRCC": part["srcc"] for subset, part in row["subsets"].items()}
        elif model in models and (models[0], name) in rows:
            for what, value in _lost(row, rows[models[0], name]):
                key = f"{name} {what} of INT8"
                metrics[key] = max(value, metrics.get(key, -math.inf))
    for order in orders:
        if order["model"].iloc[0] != models[0]:
            continue
        for row in order.to_dict("records"):
            if row["name"] == ALL:
                metrics |= {"levels in order": row["value"], "causes right": row.get("cause_right", math.nan)}
            elif row["measure"] == "stability":
                metrics[row["name"].replace("_", " ")] = row["value"]
    return metrics


def _lost(row: dict[str, Any], reference: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield "SRCC loss", reference["srcc"] - row["srcc"]
    for which in ("mean", "largest"):
        if "drift" in row:
            yield f"{which} drift", row["drift"][which]


def targets_table(metrics: dict[str, float], targets: pd.DataFrame) -> str:
    """Targets and measured values, one row per target.

    `targets` has the columns figure (a key of `metrics`), at_least or at_most (the other is empty), and source.
    """
    lines = ["| target | measured | |", "| --- | --- | --- |"]
    for target in targets.to_dict("records"):
        name, floor, ceiling = target["figure"], target["at_least"], target["at_most"]
        if math.isnan(value := metrics.get(name, math.nan)):
            raise InputError(f"{name}: a target, but not measured; these are: {', '.join(metrics)}")
        limit, met = (f"at least {floor:g}", value >= floor) if pd.notna(floor) else (
            f"at most {ceiling:g}", value <= ceiling)  # fmt: skip
        source = f" ({target['source']})" if isinstance(target["source"], str) and target["source"] else ""
        lines.append(f"| {name}: {limit}{source} | {value:.4g} | {'met' if met else '**missed**'} |")
    return "\n".join(lines)

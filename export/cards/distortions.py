"""The model card's tables on distortions and causes."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dpiqa.errors import InputError
from dpiqa.train.distortions.kinds.base import LEVELS
from dpiqa.train.evaluation.order import ALL

_MEASURES = {
    "order": "adjacent levels in order, {}",
    "cause": "strongest cause right, {}",
    "stability": "largest deviation in points, {}",
}


def causes_table(results: list[dict[str, Any]]) -> str:
    """Number and mean MOS of the pictures of each data set by their strongest cause; "" without causes."""
    causes = {name: row["causes"] for result in results for name, row in result["data"].items() if "causes" in row}
    if not causes:
        return ""
    lines = [f"| strongest cause | {' | '.join(f'{name}: pictures | mean MOS' for name in causes)} |"]
    lines.append("| --- " * (1 + 2 * len(causes)) + "|")
    for cause in next(iter(causes.values())):
        cells = [cause]
        for rows in causes.values():
            mean = rows[cause]["mean_mos"]
            cells += [str(rows[cause]["images"]), "" if mean is None else f"{mean:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def same_causes(results: list[dict[str, Any]]) -> str:
    """How often each model has the same strongest cause as its reference; "" without references."""
    return " ".join(
        f"`{result['model']}` names the same strongest cause as `{row['drift']['reference']}` "
        f"on {row['drift']['same_cause']:.0%} of {name}."
        for result in results
        for name, row in result["data"].items()
        if "same_cause" in row.get("drift", {})
    )


def distortions_table(orders: list[pd.DataFrame]) -> str:
    """The results of `dpiqa train order`, one column per model: order of scores, correct causes, stability."""
    columns = [_column(order) for order in orders]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise InputError("the tables of dpiqa train order do not hold the same measures, run it again")
    models = [str(order["model"].iloc[0]) for order in orders]
    lines = [f"| | {' | '.join(models)} |", "| --- " * (len(models) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(column[label] for column in columns)} |" for label in columns[0]]
    pictures = {measure: rows["pictures"].iloc[0] for measure, rows in orders[0].groupby("measure")}
    photographs = f"{pictures['order']} held-out photographs ({orders[0]['photographs'].iloc[0]})"
    return "\n".join(
        [
            *lines,
            "",
            f"`dpiqa train order`: every distortion at five levels on {photographs}; "
            f"stability on {pictures['stability']}.",
        ]
    )


def each_distortion_table(order: pd.DataFrame) -> str:
    """The results of `dpiqa train order` for one model, one row per distortion: mean scores by level, order, cause."""
    levels = [column for column in order.columns if column.startswith("level_")]
    heads = [
        "distortion",
        "its cause",
        *(f"level {name.removeprefix('level_')}" for name in levels),
        "in order",
        "cause right",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for row in order.to_dict("records"):
        if row["measure"] != "order" or row["name"] == ALL:
            continue
        right = row.get("cause_right", math.nan)
        cells = [row["name"].replace("_", " "), row["cause"], *(f"{row[level]:.0f}" for level in levels)]
        cells += [f"{row['value']:.0%}", f"{right:.0%}" if right >= 0 else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _column(order: pd.DataFrame) -> dict[str, str]:
    cells = {}
    for row in order.to_dict("records"):
        if row["measure"] == "order" and row["name"] != ALL:
            continue
        value = f"{row['value']:.1f}" if row["measure"] == "stability" else f"{row['value']:.1%}"
        cells[_MEASURES[row["measure"]].format(row["name"].replace("_", " "))] = value
        if (right := float(row.get("cause_right", math.nan))) >= 0:  # NaN where it is not measured
            cells[_MEASURES["cause"].format("all distortions")] = f"{right:.1%}"
            cells |= {
                _MEASURES["cause"].format(f"all distortions at level {level}"): f"{row[name]:.1%}"
                for level in LEVELS
                if (name := f"cause_right_{level}") in row
            }
    return cells

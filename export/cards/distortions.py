"""The tables of the model card on faults and their causes."""

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


def same_causes(results: list[dict[str, Any]]) -> str:
    """Of each model measured against a reference, how often both have the same strongest cause; "" without such."""
    return " ".join(
        f"`{result['model']}` names the same strongest cause as `{row['drift']['reference']}` "
        f"on {row['drift']['same_cause']:.0%} of {name}."
        for result in results
        for name, row in result["data"].items()
        if "same_cause" in row.get("drift", {})
    )


def faults_table(orders: list[pd.DataFrame]) -> str:
    """What train.order found, a column for each model: order of scores, causes named right, stability."""
    columns = [_of_faults(found) for found in orders]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise InputError("the tables of train.order do not hold the same measures, make them anew")
    models = [str(found["model"].iloc[0]) for found in orders]
    lines = [f"| | {' | '.join(models)} |", "| --- " * (len(models) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(column[label] for column in columns)} |" for label in columns[0]]
    pictures = {measure: rows["pictures"].iloc[0] for measure, rows in orders[0].groupby("measure")}
    photographs = f"{pictures['order']} photographs held out ({orders[0]['photographs'].iloc[0]})"
    return "\n".join(
        [
            *lines,
            "",
            f"`train.order`: every fault at five levels on {photographs}; stability on {pictures['stability']}.",
        ]
    )


def each_fault_table(found: pd.DataFrame) -> str:
    """What train.order found of one model, a row for each fault: the mean score by level, order and cause."""
    levels = [column for column in found.columns if column.startswith("level_")]
    heads = [
        "fault",
        "its cause",
        *(f"level {name.removeprefix('level_')}" for name in levels),
        "in order",
        "cause right",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for row in found.to_dict("records"):
        if row["measure"] != "order" or row["name"] == ALL:
            continue
        right = row.get("cause_right", math.nan)
        cells = [row["name"].replace("_", " "), row["cause"], *(f"{row[level]:.0f}" for level in levels)]
        cells += [f"{row['value']:.0%}", f"{right:.0%}" if right >= 0 else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_faults(found: pd.DataFrame) -> dict[str, str]:
    shown = {}
    for row in found.to_dict("records"):
        if row["measure"] == "order" and row["name"] != ALL:
            continue
        figure = f"{row['value']:.1f}" if row["measure"] == "stability" else f"{row['value']:.1%}"
        shown[_MEASURES[row["measure"]].format(row["name"].replace("_", " "))] = figure
        if (right := float(row.get("cause_right", math.nan))) >= 0:  # NaN where it is not measured
            shown[_MEASURES["cause"].format("all faults")] = f"{right:.1%}"
            shown |= {
                _MEASURES["cause"].format(f"all faults at level {level}"): f"{row[name]:.1%}"
                for level in LEVELS
                if (name := f"cause_right_{level}") in row
            }
    return shown

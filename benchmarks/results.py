"""Fill the tables of README and docs from the CSV files beside this script: `python benchmarks/results.py`.

A table stands between `<!-- table FILE.csv -->` and `<!-- end -->`; the text around it is left unchanged.
`<!-- table FILE.csv size=1080p -->` takes the rows with that value in that column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from recipe_search.results import summarize
from speed_tables import cores, firmware, firmware_agreement, int8_methods, native, peers, shapes

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run

_HERE = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table (\S+\.csv)(?: (\w+)=(\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)
_PAGES = [
    _HERE.parent / name
    for name in ("README.md", "docs/results.md", "docs/speed.md", "docs/int8.md", "docs/firmware.md")
]
_MEASURES = ["biq2021_srcc", "biq2021_plcc", "clive_srcc", "clive_plcc"]


def main(
    page: Annotated[list[Path] | None, typer.Option(help="Path of a page to fill (default: all).")] = None,
    folder: Annotated[Path, typer.Option(help="Path to the folder of the CSV files.")] = _HERE,
) -> None:
    """Write the pages with tables from the current CSV files."""
    for path in page or _PAGES:
        text = path.read_text()
        if not _BLOCK.search(text):
            raise InputError(f"{path}: no table to fill, expected <!-- table FILE.csv --> and <!-- end -->")
        filled = _BLOCK.sub(lambda block: block[1] + _table(folder / block[2], block[3], block[4]) + block[5], text)
        with atomic_write(path) as file:
            file.write(filled.encode())


def distillation(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/distillation.py, one table per combination of its options."""
    groups = rows.groupby(["student", "steps", "batch", "size", "crop", "teacher"], sort=False)
    return [line for _, group in groups for line in [*_comparison(group), ""]][:-1]


def _comparison(rows: pd.DataFrame) -> list[str]:
    """Means over the seeds, and the gain over labels alone for each seed."""
    lines = [
        "| | seeds | BIQ2021 SRCC / PLCC | gain | CLIVE SRCC / PLCC | gain |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    base = rows[rows["condition"] == "labels"].set_index("seed")
    for condition, group in rows.groupby("condition", sort=False):
        mean, trained = group[_MEASURES].mean(), group["train_seconds"].notna().all()
        cells = [str(condition), str(len(group)) if trained else ""]
        for data in ("biq2021", "clive"):
            gain = (group.set_index("seed")[f"{data}_srcc"] - base[f"{data}_srcc"]).dropna()
            cells.append(f"{mean[f'{data}_srcc']:.3f} / {mean[f'{data}_plcc']:.3f}")
            has_gain = trained and condition != "labels" and len(gain)
            cells.append(f"{gain.mean():+.3f} ({gain.min():+.3f} to {gain.max():+.3f})" if has_gain else "")
        lines.append(f"| {' | '.join(cells)} |")
    first, minutes = rows.iloc[0], rows["train_seconds"].mean() / 60
    return [*lines, "", f"Student {first['student']}, {first['steps']} steps of {first['batch']} pictures, input "
            f"{first['size']}, crops {first['crop']} pixels; {minutes:.1f} minutes per run on {first['hardware']}. "
            "Gain: of SRCC over labels alone with the same seed, its mean and range."]  # fmt: skip


def protocol(rows: pd.DataFrame) -> list[str]:
    """Results of dpiqa train protocol: medians over the divisions."""
    lines = ["| | divisions | median SRCC | range | median PLCC | range |", "| --- | --- | --- | --- | --- | --- |"]
    for model, group in rows.groupby("model", sort=False):
        cells = [str(model), str(len(group))]
        for measure in ("srcc", "plcc"):
            low, middle, high = group[measure].quantile([0, 0.5, 1])
            cells += [f"{middle:.3f}", f"{low:.3f} to {high:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    first = rows.iloc[0]
    return [*lines, "", f"Options `{first['options']}`, on {first['hardware']}."]


def ablation(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/ablation.py: means over the seeds."""
    measures = {"val_srcc": "SRCC", "val_plcc": "PLCC", "val_order": "in order", "val_cause": "cause right",
                "val_map": "map drop"}  # fmt: skip
    lines = [f"| | seeds | {' | '.join(measures.values())} |", "| --- " * (len(measures) + 2) + "|"]
    for lessons, group in rows.groupby("lessons", sort=False):
        means = {name: float(group[name].mean()) for name in measures if name in group}
        cells = [_ablated(name, means.get(name, math.nan)) for name in measures]
        lines.append(f"| {lessons} | {len(group)} | {' | '.join(cells)} |")
    first = rows.iloc[0]
    return [*lines, "", f"{first['steps']} steps with {first['rated']} rated pictures each, input {first['size']}, "
            f"crops {first['crop']} pixels; {rows['train_seconds'].median() / 60:.1f} minutes per run on "
            f"{first['hardware']}."]  # fmt: skip


def _ablated(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if name in ("val_order", "val_cause"):
        return f"{value:.1%}"
    return f"{value:.1f} points" if name == "val_map" else f"{value:.3f}"


def collections_left_out(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/collections_left_out.py: SRCC / PLCC on the collection left out, means over the seeds."""
    left = list(dict.fromkeys(rows["left_out"]))
    lines = [f"| compared | {' | '.join(f'{name} left out' for name in left)} |", "| --- " * (len(left) + 1) + "|"]
    for compared, group in rows.groupby("compared", sort=False):
        parts = [group[group["left_out"] == name] for name in left]
        cells = [
            f"{part['val_srcc'].mean():.3f} / {part['val_plcc'].mean():.3f}" if len(part) else "" for part in parts
        ]
        lines.append(f"| {compared} | {' | '.join(cells)} |")
    first, minutes = rows.iloc[0], rows["train_seconds"].median() / 60
    return [*lines, "", f"Seeds: {rows['seed'].nunique()}; {first['steps']} steps of 32 pictures, input "
            f"{first['size']}, crops {first['crop']} pixels; {minutes:.1f} minutes per run on "
            f"{first['hardware']}."]  # fmt: skip


def input_size(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/input_size.py."""
    lines = ["| pictures | input | SRCC | PLCC | ms |", "| --- " * 5 + "|"]
    for row in rows.to_dict("records"):
        lines.append(
            f"| {row['pictures']} | {row['height']}x{row['width']} | {row['srcc']:.3f} | {row['plcc']:.3f} "
            f"| {row['ms']:.1f} |"
        )
    first = rows.iloc[0]
    return [*lines, "", f"{first['images']} pictures, `{first['model']}` with {first['engine']} and one thread on "
            f"{first['machine']}."]  # fmt: skip


def recipes(rows: pd.DataFrame) -> list[str]:
    """Metrics of benchmarks/recipes.py: each recipe measured under all conditions, the one that travels best first."""
    lines = ["| recipe | seeds | left out, mean | ss01 | ss02 | ss03 | FLIVE-VOC | validation |", "| --- " * 8 + "|"]
    summary = summarize(rows.assign(seed=rows["seed"].astype(str), alpha=rows["alpha"].astype(float)))
    compared: Any = summary[summary["loco"].notna()]
    for row in compared.to_dict("records"):
        name = str(row["recipe"]).replace(" | ", ", ")
        kind = {"trained": "", "interpolated": f", {row['alpha']:g} of the way from ImageNet"}.get(
            row["kind"], "" if name.startswith("ensemble") else f", {row['kind']}"
        )
        spread = f" ± {row['loco_spread']:.3f}" if row["seeds"] > 1 else ""
        cells = [f"{row[name]:.3f}" for name in ("ss01", "ss02", "ss03", "flive", "val")]
        lines.append(f"| {name}{kind} | {row['seeds']} | {row['loco']:.3f}{spread} | {' | '.join(cells)} |")
    trained = rows[(rows["kind"] == "trained") & (rows["status"] == "ok")]
    first = trained.iloc[0]
    return [*lines, "", f"SRCC; {len(trained)} trainings, {trained['images'].sum():,.0f} crops, on {first['hardware']} "
            f"({first['versions']})."]  # fmt: skip


def whole_trainings(rows: pd.DataFrame) -> list[str]:
    """SRCC of whole trainings on FLIVE-VOC, with its interval, and on the validation part."""
    lines = ["| | FLIVE-VOC | validation |", "| --- " * 3 + "|"]
    for row in rows.to_dict("records"):
        interval = f"{row['srcc_low']:.3f} to {row['srcc_high']:.3f}"
        lines.append(f"| {row['model']} | {row['flive_voc_srcc']:.3f} ({interval}) | {row['val_srcc']:.3f} |")
    return lines


_FORMATS: dict[str, Callable[[pd.DataFrame], list[str]]] = {
    "flive_srcc": recipes,
    "condition": distillation,
    "division": protocol,
    "lessons": ablation,
    "compared": collections_left_out,
    "pipeline": native,
    "srcc_squashed": shapes,
    "peak_mb": peers,
    "wanted": cores,
    "srcc_low": whole_trainings,
    "int8_share": int8_methods,
    "height": input_size,
    "first_score_ms": firmware,
    "map_mean_drift": firmware_agreement,
}


def _table(file: Path, column: str | None, value: str | None) -> str:
    if not file.exists():
        return f"Not run yet: there is no {file.name}.\n"
    rows: Any = pd.read_csv(file)
    if column:
        rows = rows[rows[column] == value]
    fill = next((function for column, function in _FORMATS.items() if column in rows), None)
    if fill is None:
        raise InputError(f"{file}: unknown table, expected one of the columns {', '.join(_FORMATS)}")
    return "\n".join(fill(rows)) + "\n"


if __name__ == "__main__":
    run(main)

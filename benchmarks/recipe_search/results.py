"""The table of the search: one row a job, written at once, and what is read off it."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .recipe import BASE, CONDITIONS, Recipe, from_dict

TRAINED, INTERPOLATED, SOUP, ENSEMBLE = "trained", "interpolated", "soup", "ensemble"
OK = "ok"
COLUMNS = (
    "recipe", "kind", "seed", "alpha", "condition", "srcc", "plcc", "flive_srcc", "flive_plcc", "srcc_ss01",
    "srcc_ss02", "srcc_ss03", "loss", "steps", "images", "seconds", "captured", "status", "changes", "commit",
    "hardware", "versions",
)  # fmt: skip
_LEAST_SPREAD = 0.004  # of a mean of three collections; two seeds may agree by chance


def here() -> tuple[str, str]:
    """The processor or GPU, and the versions of what computes."""
    import torch  # not for those who only read the table

    from dpiqa.runtime.machine import processor

    hardware = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return hardware, f"PyTorch {torch.__version__}, timm {version('timm')}"


def commit() -> str:
    """The commit of the code, where it lies in a repository."""
    try:
        ended = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, check=True,
                              capture_output=True, text=True)  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ended.stdout.strip()


@dataclass
class Results:
    """Rows of a CSV that grows by one at a time."""

    path: Path
    commit: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._place = dict(zip(("hardware", "versions"), here(), strict=True)) | {"commit": self.commit}
        if self.path.exists():
            self.rows = pd.read_csv(self.path, dtype={"seed": str, "changes": str}).to_dict("records")
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)

    def add(self, recipe: Recipe, name: str, kind: str, seed: str, alpha: float, condition: str, **values: Any) -> None:
        """Append a row and write it out."""
        row = {"recipe": name, "kind": kind, "seed": seed, "alpha": alpha, "condition": condition, "status": OK,
               "changes": json.dumps(recipe.changes())} | values | self._place  # fmt: skip
        row = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, list[str](COLUMNS)).writerow(row)

    def has(self, name: str, kind: str, seed: str, alpha: float, condition: str) -> bool:
        """Whether such a row is there, and of a job that ended well."""
        wanted = (name, kind, seed, round(alpha, 4), condition, OK)
        return any(
            (row["recipe"], row["kind"], str(row["seed"]), float(row["alpha"]), row["condition"], row["status"])
            == wanted
            for row in self.rows
        )

    def summary(self) -> pd.DataFrame:
        """See summarize."""
        return summarize(pd.DataFrame(self.rows, columns=list(COLUMNS)))

    def ranked(self, kind: str = TRAINED) -> list[Recipe]:
        """The recipes that were measured under every condition, best mean of the left-out collections first."""
        summary: Any = self.summary()
        summary = summary[(summary["kind"] == kind) & summary["loco"].notna()].sort_values("loco", ascending=False)
        changes = {row["recipe"]: row["changes"] for row in self.rows if row["kind"] == kind}
        return [from_dict({"name": name} | json.loads(changes[name])) for name in summary["recipe"]]

    def better(self) -> list[Recipe]:
        """The recipes that beat the base by more than its spread and are no worse on FLIVE-VOC, best first."""
        summary = self.summary()
        summary = summary[summary["kind"] == TRAINED].set_index("recipe")
        if BASE not in summary.index or not np.isfinite(summary.loc[BASE, "loco"]):
            return []
        base = summary.loc[BASE]
        spread = max(_LEAST_SPREAD, float(np.nan_to_num(base["loco_spread"])))
        wins = summary[(summary["loco"] > base["loco"] + spread) & ~(summary["flive"] < base["flive"] - 0.01)]
        return [recipe for recipe in self.ranked() if recipe.name in wins.index]


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each recipe, kind and alpha: means over seeds, and spread (standard deviation) of the mean of three."""
    table = table[table["status"] == OK].copy()
    table[["srcc", "flive_srcc"]] = table[["srcc", "flive_srcc"]].astype(float)
    table["seed"], table["alpha"] = table["seed"].astype(str), table["alpha"].astype(float)
    summary = []
    groups: Any = table.groupby(["recipe", "kind", "alpha"], sort=False)
    for (name, kind, alpha), rows in groups:
        by_seed = rows.pivot_table(index="seed", columns="condition", values="srcc", aggfunc="last")
        by_seed = by_seed.reindex(columns=list(CONDITIONS))
        left = by_seed[[name for name in CONDITIONS if name != "full"]].mean(axis=1, skipna=False)
        whole = rows[rows["condition"] == "full"]
        summary.append(
            {"recipe": name, "kind": kind, "alpha": alpha, "seeds": int(left.notna().sum()), "loco": left.mean(),
             "loco_spread": left.std(), "flive": whole["flive_srcc"].mean(), "flive_spread": whole["flive_srcc"].std(),
             "val": by_seed["full"].mean()}
            | {name.removeprefix("leave:"): by_seed[name].mean() for name in sorted(CONDITIONS) if name != "full"}
        )  # fmt: skip
    names = ["recipe", "kind", "alpha", "seeds", "loco", "loco_spread", "flive", "flive_spread", "val", "ss01", "ss02",
             "ss03"]  # fmt: skip
    return pd.DataFrame(summary, columns=names).sort_values("loco", ascending=False, na_position="last")

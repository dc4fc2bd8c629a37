"""Agreement of scores with human opinion, and how it is shown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from dpiqa.runtime.prediction import Prediction, scores_of
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.splits import split as divide
from dpiqa.train.loop.metrics import agreement, bootstrap, plcc, srcc


def tested_part(samples: list[Sample], split: str) -> list[Sample]:
    """The pictures to score: everything for `all`, else the test part of a split."""
    return samples if split == "all" else divide(samples, split).test


def subsets(tested: list[Sample], everything: list[Sample]) -> dict[str, list[int]]:
    """Positions of the parts of a test set that deserve figures of their own.

    The data set's own subsets and, where the authors' training part holds near-duplicates of test pictures, the test
    pictures without one (`no near-duplicate`): published figures were made with both kinds.
    """
    named: dict[str, list[int]] = defaultdict(list)
    in_training = {sample.group for sample in everything if sample.official == "train"}
    leak_free = [n for n, sample in enumerate(tested) if sample.official == "test" and sample.group not in in_training]
    for position, sample in enumerate(tested):
        if sample.subset:
            named[sample.subset].append(position)
    if 0 < len(leak_free) < len(tested):
        named["no near-duplicate"] = leak_free
    return {name: positions for name, positions in sorted(named.items()) if 1 < len(positions) < len(tested)}


def evaluate(predictions: list[Prediction], samples: list[Sample], everything: list[Sample]) -> dict[str, Any]:
    """Agreement with MOS over the tested samples, its 95 % intervals, and the agreement within each subset.

    Of a model that gives more also `causes` (of how many pictures each is the strongest, and their mean MOS) and `map`
    (agreement of its mean with MOS).
    """
    score, mos = scores_of(predictions), np.array([sample.mos for sample in samples])
    result: dict[str, Any] = asdict(agreement(score, mos))
    result["interval_95"] = bootstrap(score, mos)
    if predictions[0].causes is not None:
        strongest = np.array([prediction.strongest_cause() for prediction in predictions])
        result["causes"] = {
            name: {"images": int(rows.sum()), "mean_mos": float(mos[rows].mean()) if rows.any() else None}
            for name, rows in ((name, strongest == name) for name in predictions[0].cause_names)
        }
    maps = [prediction.map for prediction in predictions if prediction.map is not None]
    if maps:
        map_mean = np.array([quality_map.mean() for quality_map in maps], np.float64)
        result["map"] = {"srcc": srcc(map_mean, mos), "plcc": plcc(map_mean, mos)}
    parts = subsets(samples, everything)
    return result | {"subsets": {name: asdict(agreement(score[rows], mos[rows])) for name, rows in parts.items()}}


def drift(candidate: list[Prediction], reference: list[Prediction]) -> dict[str, float]:
    """How far two models are apart: mean and largest distance of scores, share of pictures of the same cause."""
    distance = np.abs(scores_of(candidate) - scores_of(reference))
    metrics = {"mean": float(distance.mean()), "largest": float(distance.max())}
    if candidate[0].causes is not None and candidate[0].cause_names == reference[0].cause_names:
        pairs = zip(candidate, reference, strict=True)
        metrics["same_cause"] = float(
            np.mean([one.strongest_cause() == other.strongest_cause() for one, other in pairs])
        )
    return metrics


def print_tables(results: dict[str, Any]) -> None:
    """Print the results of `evaluate` for each data set as tables for people."""
    for name, whole in results["data"].items():
        table = Table(
            "", "images", "SRCC", "PLCC", "PLCC fitted", "KRCC", "RMSE", title=f"{results['model']} on {name}"
        )
        for label, row in [("all", whole), *whole["subsets"].items()]:
            figures = (row["srcc"], row["plcc"], row["plcc_fitted"], row["krcc"])
            table.add_row(label, str(row["images"]), *(f"{figure:.3f}" for figure in figures), f"{row['rmse']:.1f}")
        interval = whole["interval_95"]
        table.caption = "95 %: " + ", ".join(
            f"{key.upper()} {low:.3f} to {high:.3f}" for key, (low, high) in interval.items()
        )
        Console().print(table)
        if "drift" in whole:
            Console().print("points from {reference}: mean {mean:.2f}, largest {largest:.2f}".format(**whole["drift"]))
            if "same_cause" in whole["drift"]:
                Console().print(f"the same strongest cause: {whole['drift']['same_cause']:.1%}")
        for cause, found in whole.get("causes", {}).items():
            if found["images"]:
                Console().print(f"{cause}: strongest cause of {found['images']}, mean MOS {found['mean_mos']:.1f}")
        if "map" in whole:
            Console().print(f"mean of the map against MOS: SRCC {whole['map']['srcc']:.3f}")

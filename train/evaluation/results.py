"""Agreement of scores with human opinion, as numbers and as tables."""

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
    """The pictures to score: all of them for `all`, else the test part of a split."""
    return samples if split == "all" else divide(samples, split).test


def subsets(tested: list[Sample], everything: list[Sample]) -> dict[str, list[int]]:
    """Positions of the parts of a test set that have their own metrics.

    These are the data set's subsets and, if the authors' training part holds near-duplicates of test pictures, the test
    pictures without one (`no near-duplicate`): published metrics include both kinds.
    """
    parts: dict[str, list[int]] = defaultdict(list)
    in_training = {sample.group for sample in everything if sample.official == "train"}
    leak_free = [n for n, sample in enumerate(tested) if sample.official == "test" and sample.group not in in_training]
    for position, sample in enumerate(tested):
        if sample.subset:
            parts[sample.subset].append(position)
    if 0 < len(leak_free) < len(tested):
        parts["no near-duplicate"] = leak_free
    return {name: positions for name, positions in sorted(parts.items()) if 1 < len(positions) < len(tested)}


def evaluate(predictions: list[Prediction], samples: list[Sample], everything: list[Sample]) -> dict[str, Any]:
    """Agreement with MOS over the tested samples, its 95 % intervals, and the agreement within each subset.

    For models with these outputs also `causes` (the number of pictures of which each is the strongest, and their mean
    MOS) and `map` (agreement of its mean with MOS).
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
    """Mean and largest distance of two models' scores, and the fraction of pictures with the same strongest cause."""
    distance = np.abs(scores_of(candidate) - scores_of(reference))
    metrics = {"mean": float(distance.mean()), "largest": float(distance.max())}
    if candidate[0].causes is not None and candidate[0].cause_names == reference[0].cause_names:
        pairs = zip(candidate, reference, strict=True)
        metrics["same_cause"] = float(
            np.mean([one.strongest_cause() == other.strongest_cause() for one, other in pairs])
        )
    return metrics


def print_tables(results: dict[str, Any]) -> None:
    """Print the results of `evaluate` as a table for each data set."""
    for name, whole in results["data"].items():
        table = Table(
            "", "images", "SRCC", "PLCC", "PLCC fitted", "KRCC", "RMSE", title=f"{results['model']} on {name}"
        )
        for label, row in [("all", whole), *whole["subsets"].items()]:
            metrics = (row["srcc"], row["plcc"], row["plcc_fitted"], row["krcc"])
            table.add_row(label, str(row["images"]), *(f"{value:.3f}" for value in metrics), f"{row['rmse']:.1f}")
        interval = whole["interval_95"]
        table.caption = "95 %: " + ", ".join(
            f"{key.upper()} {low:.3f} to {high:.3f}" for key, (low, high) in interval.items()
        )
        Console().print(table)
        if "drift" in whole:
            Console().print("points from {reference}: mean {mean:.2f}, largest {largest:.2f}".format(**whole["drift"]))
            if "same_cause" in whole["drift"]:
                Console().print(f"the same strongest cause: {whole['drift']['same_cause']:.1%}")
        for cause, row in whole.get("causes", {}).items():
            if row["images"]:
                Console().print(f"{cause}: strongest cause of {row['images']}, mean MOS {row['mean_mos']:.1f}")
        if "map" in whole:
            Console().print(f"mean of the map against MOS: SRCC {whole['map']['srcc']:.3f}")

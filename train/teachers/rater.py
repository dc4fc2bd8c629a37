"""Any rater as a teacher: a table of scores, by people or by a model that is not ours, becomes a teacher's cache."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpiqa.errors import InputError, unreadable
from dpiqa.train.data.datasets import Sample
from dpiqa.train.teachers.cache import Contents, Origin

_MAX_LISTED = 3


class Rating(NamedTuple):
    """A rater's score, and the standard deviation of its judgement (0 if it gives none), both in points of 100."""

    score: float
    std: float


def read_ratings(table: Path) -> dict[Path, Rating]:
    """The ratings in a table `image,score[,std]`, by the absolute paths of pictures, which are relative to the table.

    Raises InputError that names the line.
    """
    ratings: dict[Path, Rating] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := {"image", "score"} - set(rows.fieldnames or ()):
                raise InputError(f"{table}: column '{min(missing)}' is missing, expected image,score[,std]")
            for number, row in enumerate(rows, start=2):
                picture = (table.parent / (row["image"] or "")).resolve()
                if picture in ratings:
                    raise InputError(f"{table}: line {number}: {row['image']} is rated twice")
                ratings[picture] = Rating(_number(table, number, "score", row["score"], 100),
                                          _number(table, number, "std", row.get("std") or "0", math.inf))  # fmt: skip
    except OSError as error:
        raise unreadable(table, error) from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{table}: not a table of comma-separated values") from None
    return ratings


def ratings_of(table: Path, pictures: list[Sample]) -> list[Rating]:
    """The ratings of these pictures in their order; InputError that counts and names those without one."""
    ratings = read_ratings(table)
    paths = [sample.path.resolve() for sample in pictures]
    absent = [path.name for path in paths if path not in ratings]
    if absent:
        some = ", ".join(absent[:_MAX_LISTED]) + (", ..." if len(absent) > _MAX_LISTED else "")
        raise InputError(f"{table}: {len(absent)} of {len(paths)} pictures have no score: {some}")
    return [ratings[path] for path in paths]


def describe_rater(table: Path, index: pd.DataFrame, origins: list[Origin]) -> Contents:
    """The description by which the cache of this table and this index is recognised."""
    return Contents(
        teacher=hashlib.sha256(table.read_bytes()).hexdigest(),
        data=hashlib.sha256(index.to_csv(index=False).encode()).hexdigest(),
        input=None,
        bf16=False,
        trained_on=(),
        origins=tuple(origins),
    )


def columns(ratings: list[Rating]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and standard deviations, float32 `[n]` each."""
    scores, stds = zip(*ratings, strict=True)
    return np.array(scores, np.float32), np.array(stds, np.float32)


def _number(table: Path, line: int, column: str, text: str | None, largest: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (0 <= value <= largest and math.isfinite(value)):
        expected = "0 to 100" if math.isfinite(largest) else "0 or more"
        raise InputError(f"{table}: line {line}: {column} is '{text}', expected a number, {expected}")
    return value

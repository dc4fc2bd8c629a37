"""How often does `dpiqa pick` name the untouched picture of a made burst? By what was done to the others.

    python benchmarks/bursts.py PICTURES... [--least 70] [--count 100] [--csv FILE]

Of every photograph that scores `--least` or more a burst of four is made: as it is, and three shots moved by some
pixels, each with the same distortion. A hit is the untouched picture named; `grouped` is the share of bursts taken for
one scene, `clear` the share whose pick was said to be clear.
"""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from measured_on import measured_on

from dpiqa.runtime.perceptual_hash import perceptual_hash
from dpiqa.runtime.pick import Shot, picks
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.program import run
from dpiqa.runtime.scorer import Scorer
from dpiqa.runtime.sources import expand
from dpiqa.train.distortions.kinds import DISTORTIONS

KINDS = ("camera_shake", "motion_blur", "defocus", "underexposure", "overexposure")
LEVELS, MOVE = (1, 2, 3), 6


def main(
    paths: Annotated[list[str], typer.Argument(metavar="PICTURES")],
    least: Annotated[float, typer.Option(help="Leave out photographs that score less.")] = 70,
    count: Annotated[int, typer.Option(min=1, help="Number of bursts for each distortion and level.")] = 100,
    out: Annotated[Path | None, typer.Option("--csv")] = None,
) -> None:
    """Make bursts, pick the best of each, and print how often it was the untouched picture."""
    scorer = Scorer("dpiqa-lite0-int8", jobs=1)
    rng = np.random.default_rng(0)
    files = (file for path in paths for file in expand(path))
    photographs = [picture for picture in map(read_picture, files) if scorer.score(picture).score >= least][:count]
    rows = [row(scorer, photographs, kind, level, rng) for kind, level in product(KINDS, LEVELS)]
    typer.echo(f"{len(photographs)} bursts each, {measured_on('openvino')}")
    for each in rows:
        typer.echo("  ".join(f"{value!s:>13}" for value in each.values()))
    if out is not None:
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "machine"])
            writer.writeheader()
            writer.writerows(each | {"machine": measured_on("openvino")} for each in rows)


def row(
    scorer: Scorer, photographs: list[np.ndarray], kind: str, level: int, rng: np.random.Generator
) -> dict[str, object]:
    """What became of the bursts with one distortion at one level."""
    hits = grouped = clear = 0
    for photograph in photographs:
        shots = [photograph, *(moved(photograph, rng) for _ in range(3))]
        shots[1:] = [DISTORTIONS[kind].apply(shot, level, rng) for shot in shots[1:]]
        place = int(rng.integers(4))
        shots[0], shots[place] = shots[place], shots[0]
        groups = picks([Shot(scorer.score(shot, str(at)), perceptual_hash(shot)) for at, shot in enumerate(shots)])
        grouped += len(groups) == 1
        hits += groups[0].best == str(place) and len(groups) == 1
        clear += groups[0].is_clear
    total = len(photographs)
    metrics = {"hits": hits / total, "grouped": grouped / total, "clear": clear / total}
    return {
        "distortion": kind,
        "level": level,
        "bursts": total,
        **{name: f"{share:.2f}" for name, share in metrics.items()},
    }


def moved(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture as a hand that shakes would frame it: shifted by up to 6 pixels, edges cut."""
    x, y = rng.integers(0, 2 * MOVE + 1, 2)
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[y : height - 2 * MOVE + y, x : width - 2 * MOVE + x])


if __name__ == "__main__":
    run(main)

"""The options of a training with distorted pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class FaultWeights:
    """What each lesson counts; a student learns no output of weight 0."""

    order: float = 1.0
    causes: float = 1.0
    map: float = 1.0


LEAST_MOS = 70.0
Share = Annotated[
    float, typer.Option("--faults", min=0, max=0.9, help="Share of every batch that is made faults; 0 leaves them out.")
]


Folders = Annotated[
    list[Path] | None, typer.Option("--pristine", help="Folder of good photographs to degrade; several times.")
]


LeastMos = Annotated[
    float, typer.Option("--pristine-mos", min=0, help="Rated training pictures from this MOS on are degraded, too.")
]


OrderWeight = Annotated[float, typer.Option(min=0, help="Of: a stronger fault scores lower.")]
CauseWeight = Annotated[float, typer.Option(min=0, help="Of the causes of faults; 0 trains a student without.")]
MapWeight = Annotated[float, typer.Option(min=0, help="Of the quality map; 0 trains a student without.")]

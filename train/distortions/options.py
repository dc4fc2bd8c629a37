"""Command options of training on distorted pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LEAST_MOS = 70.0
Fraction = Annotated[
    float,
    typer.Option(
        "--distortions", "--faults", min=0, max=0.9,
        help="Fraction of each batch that is synthetically distorted; 0 for none.",
    ),
]  # fmt: skip
Folders = Annotated[
    list[Path] | None, typer.Option("--pristine", help="Folder of good photographs to distort; repeatable.")
]
LeastMos = Annotated[
    float, typer.Option("--pristine-mos", min=0, help="Also distort rated training pictures of this MOS or more.")
]
OrderWeight = Annotated[float, typer.Option(min=0, help="Weight of the order: stronger distortions score lower.")]
CauseWeight = Annotated[float, typer.Option(min=0, help="Weight of the causes; 0 trains a student without them.")]
MapWeight = Annotated[float, typer.Option(min=0, help="Weight of the quality map; 0 trains a student without one.")]
DistortionMapWeight = Annotated[
    float,
    typer.Option(
        "--distortion-map-weight", "--fault-map-weight", min=0,
        help="Weight of the student's own quality map; 0 trains a student without one.",
    ),
]  # fmt: skip

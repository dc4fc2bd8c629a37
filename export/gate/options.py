"""The requirements of a gate, and the command options that set them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

MIN_CALIBRATION = 256
SOURCES = "a folder of pictures, a video, FILE.npy of frames, or NAME=PATH of a rated data set (its training part)"
MIN_PICTURES = 500


@dataclass(frozen=True)
class Budget:
    """What a candidate may lose, in SRCC and in points, measured on at least `pictures` pictures."""

    srcc_drop: float = 0.003
    drift: float = 5.0
    mean_drift: float = 0.5
    pictures: int = MIN_PICTURES


SrccDrop = Annotated[float, typer.Option(min=0, help="Maximum drop in SRCC.")]
Drift = Annotated[float, typer.Option(min=0, help="Maximum drift of any picture, in points.")]
MeanDrift = Annotated[float, typer.Option(min=0, help="Maximum mean drift, in points.")]
ReportFile = Annotated[Path | None, typer.Option(help="Path of the report (default: OUT with the suffix .html).")]
PictureSeed = Annotated[int, typer.Option(min=0, help="Seed for choosing the pictures.")]

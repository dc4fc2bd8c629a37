"""Draw every degradation at every level: `python -m train.degrade --picture FILE --out sheet.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.progress import track

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.pictures import read_picture
from runtime.preprocess import resize_area

from .degradations import DEGRADATIONS, LEVELS, Degradation
from .degradations.base import REFERENCE_SIDE

_LABEL = 22
_INK = (40, 40, 40)


def at_reference_size(image: np.ndarray, side: int = REFERENCE_SIDE) -> np.ndarray:
    """Bring a BGR picture's shorter side to `side` pixels: where the levels are calibrated."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    return resize_area(image, max(side, round(height * scale)), max(side, round(width * scale)))


def contact_sheet(image: np.ndarray, chosen: list[Degradation], tile: int, seed: int) -> np.ndarray:
    """One row a degradation: the picture and its five levels, each `tile` pixels wide, uint8 `[h, w, 3]` in BGR."""
    height = round(image.shape[0] * tile / image.shape[1])
    rows = []
    for fault in track(chosen, "degrading"):
        made = [fault.apply(image, level, np.random.default_rng(seed)) for level in LEVELS]
        tiles = np.hstack([resize_area(picture, height, tile) for picture in [image, *made]])
        label = np.full((_LABEL, tiles.shape[1], 3), 255, np.uint8)
        place = (6, _LABEL - 7)
        cv2.putText(label, f"{fault.name} ({fault.cause})", place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
        rows += [label, tiles]
    return np.vstack(rows)


def main(
    picture: Annotated[Path, typer.Option(help="A good photograph.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    name: Annotated[list[str] | None, typer.Option(help="Only this degradation; may be given several times.")] = None,
    tile: Annotated[int, typer.Option(min=64, max=1024, help="Width of one picture on the sheet in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
) -> None:
    """Draw a contact sheet: a row for each degradation, the original first and then the levels 1 to 5."""
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: only PNG can be written, choose a name that ends in .png")
    if unknown := sorted(set(name or ()) - set(DEGRADATIONS)):
        raise InputError(f"--name {unknown[0]}: no such degradation, known: {', '.join(DEGRADATIONS)}")
    image = at_reference_size(read_picture(picture))
    with atomic_write(out) as file:
        sheet = contact_sheet(image, [DEGRADATIONS[each] for each in name or DEGRADATIONS], tile, seed)
        file.write(cv2.imencode(".png", sheet)[1].tobytes())
    typer.echo(f"{out}: {len(name or DEGRADATIONS)} degradations, {len(LEVELS)} levels each")


if __name__ == "__main__":
    run(main)

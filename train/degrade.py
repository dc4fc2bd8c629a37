"""Draw every distortion at every level: `python -m train.degrade --picture FILE --out sheet.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run


def main(
    picture: Annotated[Path, typer.Option(help="A good photograph.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    name: Annotated[list[str] | None, typer.Option(help="Only this distortion; repeatable.")] = None,
    tile: Annotated[int, typer.Option(min=64, max=1024, help="Width of each picture on the sheet, in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
) -> None:
    """Draw a contact sheet: one row per distortion, the clean picture first, then levels 1 to 5."""
    import cv2

    from dpiqa.runtime.pictures import read_picture
    from dpiqa.train.distortions.kinds import DISTORTIONS
    from dpiqa.train.distortions.kinds.base import LEVELS
    from dpiqa.train.distortions.reference import at_reference_size
    from dpiqa.train.distortions.sheet import contact_sheet

    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: only PNG can be written, choose a name that ends in .png")
    if unknown := sorted(set(name or ()) - set(DISTORTIONS)):
        raise InputError(f"--name {unknown[0]}: no such distortion, known: {', '.join(DISTORTIONS)}")
    image = at_reference_size(read_picture(picture))
    with atomic_write(out) as file:
        sheet = contact_sheet(image, [DISTORTIONS[each] for each in name or DISTORTIONS], tile, seed)
        file.write(cv2.imencode(".png", sheet)[1].tobytes())
    typer.echo(f"{out}: {len(name or DISTORTIONS)} distortions, {len(LEVELS)} levels each")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train degrade --picture photo.jpg --out sheet.png"

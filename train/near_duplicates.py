"""Find test pictures that a training set holds too, by perceptual hash: `python -m train.near_duplicates`.

It finds the same picture at another size, brightness, compression or mirrored; it does not find a part of a picture.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run


def main(
    training: Annotated[list[str], typer.Option(help="NAME=PATH that is trained on; may be given several times.")],
    test: Annotated[list[str], typer.Option(help="NAME=PATH that is tested on; may be given several times.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
) -> None:
    """List the test pictures that look like a training picture, and how many were compared."""
    from dpiqa.train.data.near_duplicates import MAX_DISTANCE, MIN_CORRELATION, find_pairs, fingerprints, pictures_of

    trained = {source: pictures_of(source, training=True) for source in training}
    tested = {source: pictures_of(source, training=False) for source in test}
    known = fingerprints({name: file for files in trained.values() for name, file in files.items()}, mirrored=True)
    unknown = fingerprints({name: file for files in tested.values() for name, file in files.items()}, mirrored=False)
    pairs = list(find_pairs(known, {name: prints[0] for name, prints in unknown.items()}))
    found = {
        "rule": {"max_distance": MAX_DISTANCE, "min_correlation": MIN_CORRELATION},
        "training": {source.partition("=")[0]: len(files) for source, files in trained.items()},
        "test": {source.partition("=")[0]: len(files) for source, files in tested.items()},
        "pairs": [asdict(pair) for pair in pairs],
    }
    with atomic_write(out) as file:
        file.write(json.dumps(found, indent=2).encode() + b"\n")
    typer.echo(f"{len(pairs)} pairs between {len(known)} training and {len(unknown)} test pictures: {out}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train near-duplicates --training biq2021=PATH --test clive=PATH --out pairs.json"

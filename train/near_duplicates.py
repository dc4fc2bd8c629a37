"""Find test pictures that are also in a training set, by perceptual hash: `python -m train.near_duplicates`.

It finds the same picture at another size, brightness or compression, or mirrored; it does not find crops.
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
    training: Annotated[list[str], typer.Option(help="NAME=PATH of training pictures; repeatable.")],
    test: Annotated[list[str], typer.Option(help="NAME=PATH of test pictures; repeatable.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
) -> None:
    """List test pictures that look like a training picture, with the numbers of pictures compared."""
    from dpiqa.train.data.near_duplicates import MAX_DISTANCE, MIN_CORRELATION, find_pairs, fingerprints, pictures_of

    training_files = {source: pictures_of(source, training=True) for source in training}
    test_files = {source: pictures_of(source, training=False) for source in test}
    training_prints = fingerprints(_joined(training_files), mirrored=True)
    test_prints = fingerprints(_joined(test_files), mirrored=False)
    pairs = list(find_pairs(training_prints, {name: prints[0] for name, prints in test_prints.items()}))
    document = {
        "rule": {"max_distance": MAX_DISTANCE, "min_correlation": MIN_CORRELATION},
        "training": {source.partition("=")[0]: len(files) for source, files in training_files.items()},
        "test": {source.partition("=")[0]: len(files) for source, files in test_files.items()},
        "pairs": [asdict(pair) for pair in pairs],
    }
    with atomic_write(out) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")
    typer.echo(f"{len(pairs)} pairs among {len(training_prints)} training and {len(test_prints)} test pictures: {out}")


def _joined(by_source: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: file for files in by_source.values() for name, file in files.items()}


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train near-duplicates --training biq2021=PATH --test clive=PATH --out pairs.json"

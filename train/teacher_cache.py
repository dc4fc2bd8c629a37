"""Ask a teacher once: `python -m train.teacher_cache --teacher BEST.pt --data NAME=PATH --unlabelled DIR --out DIR`.

Every picture is shown to the teacher whole. Test parts are never shown, nor copies of their pictures that an unlabelled
folder may hold. A run that was killed goes on with the pictures it had not done.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from runtime.command import run
from runtime.errors import InputError
from runtime.spec import InputSpec

from .cache import Contents, Origin, TeacherCache, make_index
from .checkpoint import weights_sha256
from .datasets import Sample, check_pictures, digests, load, load_unlabelled, parse_source
from .frames import RatedFrames
from .memory import memory_advice
from .splits import AUTO, DIVISIONS, resolve
from .splits import split as divide
from .teacher import load_teacher


def plan(
    data: list[tuple[str, Path]], unlabelled: list[Path], split: str, seed: int
) -> tuple[pd.DataFrame, list[Sample], list[Origin]]:
    """What a cache of these sources holds: its index, the pictures in the index's order, and their origins.

    Of rated data sets the training and validation parts; of unlabelled folders all but exact copies of rated pictures.
    """
    names = [name for name, _ in data] + [folder.resolve().name for folder in unlabelled]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two sources are called '{min(twice)}': their pictures could not be told apart")
    parts, origins, pictures, rated = [], [], [], set()
    for name, root in data:
        samples = load(name, root)
        how = resolve(split, samples)
        division = divide(samples, how, seed)
        rated |= set(digests([sample.path for sample in samples]))
        for part, chosen in (("train", division.train), ("val", division.val)):
            parts.append((name, root, part, [sample.path for sample in chosen]))
            pictures += chosen
        origins.append(Origin(name=name, split=how, images=len(division.train)))
    for folder in unlabelled:
        samples = load_unlabelled(folder)
        sums = digests([sample.path for sample in samples])
        kept = [sample for sample, digest in zip(samples, sums, strict=True) if digest not in rated]
        if not kept:
            raise InputError(f"--unlabelled {folder}: every picture in it is one of the rated data sets'")
        parts.append((folder.resolve().name, folder, "unlabelled", [sample.path for sample in kept]))
        pictures += kept
        origins.append(Origin(name=folder.resolve().name, split=None, images=len(kept)))
    return make_index(parts), pictures, origins


def describe(
    teacher: nn.Module, about: dict[str, Any], index: pd.DataFrame, origins: list[Origin], bf16: bool
) -> Contents:
    """What tells this teacher's cache of this index from every other one."""
    data = hashlib.sha256(index.to_csv(index=False).encode()).hexdigest()
    return Contents(
        teacher=weights_sha256(teacher),
        data=data,
        input=InputSpec(**about["input"]),
        bf16=bf16,
        trained_on=about["trained_on"],
        origins=origins,
    )


@torch.inference_mode()
def fill(cache: TeacherCache, teacher: nn.Module, pictures: list[Sample], batch: int) -> None:
    """Ask the teacher about every picture that the cache lacks; each batch is kept when it is done."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.to(device).eval()
    missing = cache.missing()
    batches = [missing[start : start + batch].tolist() for start in range(0, len(missing), batch)]
    frames = DataLoader(RatedFrames(pictures, cache.contents.input), batch_sampler=batches, num_workers=1)
    for rows, (shown, _) in zip(batches, track(frames, "asking the teacher", len(batches)), strict=True):
        with torch.autocast(device.type, torch.bfloat16, enabled=cache.contents.bf16):
            scores, maps = teacher(shown.to(device))
        cache.write(rows, scores.float().cpu().numpy(), maps.float().cpu().numpy())


@memory_advice("use a smaller --batch")
def main(
    teacher: Annotated[Path, typer.Option(help="best.pt of train.teacher.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the cache; an unfinished one found there is gone on with.")],
    unlabelled: Annotated[list[Path] | None, typer.Option(help="Folder of pictures; several times, if wanted.")] = None,
    split: Annotated[str, typer.Option(help=f"As for the teacher: {DIVISIONS}")] = AUTO,
    seed: Annotated[int, typer.Option(min=0, help="Draws the validation part, as for the teacher.")] = 0,
    weights: Annotated[
        str | None, typer.Option(help="Folder of the diffusion prior, if it is no longer where the training found it.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1)] = 8,
    bf16: Annotated[bool, typer.Option(help="Half the time on a GPU, scores a little coarser.")] = False,
) -> None:
    """Store a teacher's score and quality map of every picture that a student will learn on."""
    index, pictures, origins = plan([parse_source(text) for text in data], unlabelled or [], split, seed)
    model, about = load_teacher(teacher, weights)
    if (drawn := about.get("split_seed", seed)) != seed:
        raise InputError(f"{teacher}: its validation part was drawn with --seed {drawn}, give the same here")
    divisions = {origin.name: origin.split for origin in origins}
    for entry in about["trained_on"]:
        if divisions.get(entry["name"], entry["split"]) != entry["split"]:
            raise InputError(f"{teacher}: learned on {entry['name']} with --split {entry['split']}, give the same here")
    contents = describe(model, about, index, origins, bf16)
    if (out / "cache.json").is_file():
        cache = TeacherCache(out)
        cache.require(contents)
    else:
        check_pictures("teacher cache", pictures, progress=True)
        cache = TeacherCache.create(out, contents, index)
    typer.echo(f"{len(pictures)} pictures, {len(pictures) - len(cache.missing())} of them done before")
    fill(cache, model, pictures, batch)
    typer.echo(f"{out}: scores and maps of {len(pictures)} pictures, teacher {contents.teacher[:12]}")


if __name__ == "__main__":
    run(main)

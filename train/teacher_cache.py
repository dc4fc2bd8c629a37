"""Ask a teacher once: `python -m train.teacher_cache --teacher BEST.pt --data NAME=PATH --unlabelled DIR --out DIR`.

Every picture is shown to the teacher whole. Test parts are never shown, nor copies of their pictures that an unlabelled
folder may hold. A run that was killed goes on with the pictures it had not done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.loop.memory import memory_advice


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
    from dpiqa.train.data.datasets import check_pictures, parse_source
    from dpiqa.train.teachers.cache import TeacherCache
    from dpiqa.train.teachers.fill_cache import describe, fill, plan
    from dpiqa.train.teachers.model import load_teacher

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

EXAMPLE = "dpiqa train teacher-cache --teacher runs/teacher/best.pt --data koniq10k=PATH --out cache"

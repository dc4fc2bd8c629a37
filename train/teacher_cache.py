"""Store a teacher's outputs: `python -m train.teacher_cache --teacher BEST.pt --data NAME=PATH --out DIR`.

The teacher scores every picture whole. Test parts are left out, and so are copies of their pictures in unlabelled
folders. A run that was killed goes on with the remaining pictures. Instead of a teacher, any rater will do, a large
multimodal model for instance: `--scores CSV` with its scores, and its certainty if it states that.
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
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for the cache; an unfinished one in it is completed.")],
    teacher: Annotated[Path | None, typer.Option(help="best.pt of train.teacher.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Table image,score[,std] of any rater instead, 0 to 100, with every picture of the others."),
    ] = None,
    unlabelled: Annotated[list[Path] | None, typer.Option(help="Folder of unlabelled pictures; repeatable.")] = None,
    split: Annotated[str, typer.Option(help=f"As for the teacher: {DIVISIONS}")] = AUTO,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the validation part, as for the teacher.")] = 0,
    weights: Annotated[
        str | None, typer.Option(help="Folder of the diffusion prior, if it has moved since training.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 8,
    bf16: Annotated[bool, typer.Option(help="Halves the time on a GPU; scores are slightly coarser.")] = False,
) -> None:
    """Store a teacher's score and quality map for every picture that a student will learn from."""
    from dpiqa.train.data.datasets import check_pictures, parse_source
    from dpiqa.train.teachers.cache import TeacherCache
    from dpiqa.train.teachers.fill_cache import describe, fill, plan
    from dpiqa.train.teachers.model import load_teacher
    from dpiqa.train.teachers.rater import columns, describe_rater, ratings_of

    if (teacher is None) == (scores is None):
        raise InputError("name one source of scores: --teacher, or --scores with a table")
    index, pictures, origins = plan([parse_source(text) for text in data], unlabelled or [], split, seed)
    if scores:
        values, stds = columns(ratings_of(scores, pictures))
        contents = describe_rater(scores, index, origins)
        if (out / "cache.json").is_file():
            TeacherCache(out).require(contents)
        else:
            check_pictures("teacher cache", pictures, progress=True)
            TeacherCache.of_ratings(out, contents, index, values, stds)
        typer.echo(f"{out}: scores of {len(pictures)} pictures, table {contents.teacher[:12]}")
        return
    assert teacher
    model, record = load_teacher(teacher, weights)
    if record.split_seed not in (None, seed):
        raise InputError(f"{teacher}: its validation part was drawn with --seed {record.split_seed}, use the same here")
    divisions = {origin.name: origin.split for origin in origins}
    for entry in record.trained_on:
        if divisions.get(entry.name, entry.split) != entry.split:
            raise InputError(f"{teacher}: trained on {entry.name} with --split {entry.split}, use the same here")
    contents = describe(model, record, index, origins, bf16)
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

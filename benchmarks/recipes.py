"""Which training recipe travels? Named recipes, seeds and conditions, compared on pictures from elsewhere.

    python benchmarks/recipes.py pack --biq2021 PATH --flive-voc PATH --out DIR
    python benchmarks/recipes.py search --parts DIR --plan stage1,stage2 --minutes 8 --out CSV
    python benchmarks/recipes.py table CSV

A recipe is trained with each of BIQ2021's collections left out, and measured there, and on the authors' training part
(`full`), measured on its validation part and on FLIVE-VOC, from which no weight learns. No official test picture and
nothing of CLIVE takes part. On a GPU several jobs run side by side, each as replays of one captured step; everywhere
a row is written as soon as it is known, and the same command goes on from there.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from recipe_search.parts import load_store, load_weights, made_store
from recipe_search.plans import carry_out, recipes_of
from recipe_search.results import Results, commit, summarize
from recipe_search.search import Search, fastest
from recipe_search.trainer import Device

from dpiqa.errors import InputError
from dpiqa.runtime.program import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__, rich_markup_mode=None)


@app.command()
def pack(
    biq2021: Annotated[Path, typer.Option(help="The folder of BIQ2021.")],
    flive_voc: Annotated[Path, typer.Option(help="The folder of FLIVE-VOC, with images/ and scores.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for the parts.")],
    limit: Annotated[int | None, typer.Option(min=40, help="About so many pictures alone.")] = None,
) -> None:
    """Write pictures and weights into parts of at most 58 MiB."""
    from recipe_search.pack import pack as write

    for path in write(biq2021, flive_voc, out, limit):
        typer.echo(f"{path.name}  {path.stat().st_size / 2**20:.1f} MiB")


@app.command()
def search(
    out: Annotated[Path, typer.Option(help="The CSV to write or to go on with; best weights are put beside it.")],
    parts: Annotated[Path | None, typer.Option(help="Folder of the parts; without it, made pictures.")] = None,
    plan: Annotated[str, typer.Option(help="smoke, stage1, stage2 or a JSON file; several with commas.")] = "smoke",
    minutes: Annotated[float, typer.Option(help="After so many no job starts, and what is there is written.")] = 8.0,
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    side_by_side: Annotated[int | None, typer.Option(min=1, help="Jobs at a time; 6 on a GPU, else 1.")] = None,
    states: Annotated[Path | None, typer.Option(help="Folder for every job's weights, to resume averages.")] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="At most so many steps a job, for a try.")] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Capture nothing.")] = False,
    tune: Annotated[bool, typer.Option(help="Measure on a GPU which memory layout is faster.")] = True,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave the GPU alone.")] = False,
    commit_name: Annotated[str, typer.Option("--commit", help="What the rows say where there is no repository.")] = "",
) -> None:
    """Train and measure the recipes of a plan."""
    began = time.monotonic()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    log = logging.getLogger("recipes")
    cuda = torch.cuda.is_available() and not cpu
    how = Device(torch.device("cuda", 0) if cuda else torch.device("cpu"), graphs=cuda and not eager, amp=cuda)
    plans = plan.split(",")
    try:
        recipes = recipes_of(plans)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"--plan {plan}: {error}") from None
    sizes = set().union(*(recipe.frame_sizes() for recipe in recipes))
    whole = {recipe.frame for recipe in recipes}
    store = load_store(parts, sizes, whole, how.device) if parts else made_store(sizes, how.device)
    weights = load_weights(parts)
    if cuda:
        torch.cuda.synchronize()
    log.warning("%.0f s: %d pictures, sides %s, trunks %s", time.monotonic() - began, len(store.pictures),
                sorted(store.frames), ", ".join(weights) or "at random")  # fmt: skip
    if how.graphs and tune:
        how = fastest(store, weights, how)
        log.warning("%.0f s: channels_last=%s benchmark=%s", time.monotonic() - began, how.channels_last,
                    how.benchmark)  # fmt: skip
    results = Results(out, commit_name or commit())
    jobs = Search(store, how, results, weights, side_by_side or (6 if cuda else 1), steps, states)
    carry_out(jobs, plans, seeds, began, began + 60 * minutes, out.parent)


@app.command()
def table(
    results: Annotated[Path, typer.Argument(help="The CSV of a search.")],
    kind: Annotated[str | None, typer.Option(help="trained, interpolated, soup or ensemble alone.")] = None,
    least_seeds: Annotated[int, typer.Option(min=0, help="Leave out what has fewer seeds.")] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a table for a document.")] = False,
) -> None:
    """Print a row for each recipe: the mean of the collections left out, FLIVE-VOC, validation, each collection."""
    import pandas as pd

    if not results.exists():
        raise InputError(f"{results}: no such file")
    rows = summarize(pd.read_csv(results, dtype={"seed": str, "changes": str}))
    rows = rows[(rows["seeds"] >= least_seeds) & (rows["kind"].eq(kind) | (kind is None))]
    if not markdown:
        typer.echo(rows.round(3).to_string(index=False))
        return
    typer.echo("| " + " | ".join(rows.columns) + " |\n|" + " --- |" * len(rows.columns))
    for row in rows.itertuples(index=False):
        cells = ["" if value != value else f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        typer.echo("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    run(app)

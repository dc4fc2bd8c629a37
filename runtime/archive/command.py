"""The verb `archive` of `dpiqa`: scores what one machine is too small for, on Ray Data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError, ToolError
from dpiqa.runtime.models import DEFAULT_MODEL
from dpiqa.runtime.program import native_output_silenced


@native_output_silenced()
def archive(
    name: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Folder, glob, list (FILE.txt) or column (FILE.parquet:COLUMN) of paths or URLs."
        ),
    ],
    out: Annotated[str | None, typer.Option(metavar="URL", help="Folder for the Parquet files.")] = None,
    fps: Annotated[float, typer.Option(help="Frames to score per second of video.")] = 1,
    model: Annotated[
        Path | None,
        typer.Option(help=f"Path to a model file, or the name of a shipped model (default: {DEFAULT_MODEL})."),
    ] = None,
    engine: Annotated[str, typer.Option(help="Engine: auto, onnxruntime, openvino or executorch.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an archive that was begun in --out.")] = False,
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of a Ray cluster, or local for a new one (auto: either).")
    ] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Number of workers (default: by CPUs).")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads of a worker.")] = 1,
    estimate: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only estimate the hours that N inputs take, by scoring 200.")
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", min=0, help="Price of all machines together, for --estimate.")
    ] = None,
) -> None:
    """Score pictures and videos by the million into Parquet files, on a Ray cluster or on all cores of this machine.

    Exit status: 0 all scored, 1 some could not be scored (their rows say why), 2 none could.
    """
    for package in ("ray", "fsspec", "pyarrow"):
        if find_spec(package) is None:
            raise ToolError(f"dpiqa archive needs the package '{package}', install it with: pip install '.[ray]'")
    from dpiqa.runtime.archive.cluster import pool
    from dpiqa.runtime.archive.plan import ProbeBlocks, StoredBlocks, cut
    from dpiqa.runtime.archive.run import Request, hours, open_archive, sample, score_blocks

    if (out is None) == (estimate is None):
        raise InputError("expected either --out URL or --estimate N")
    if price is not None and estimate is None:
        raise InputError("--price-per-hour: needs --estimate N")
    request = Request(name, fps, model, engine, threads)
    if out is None:
        probe = list(cut(sample(request.uris())))
        blocks, job = list(range(len(probe))), request.job(ProbeBlocks(probe), None)
    else:
        store, blocks = open_archive(request, out, resume)
        job = request.job(StoredBlocks(store), store)
    if not blocks:
        print(f"{out}: complete")
        return
    with pool(ray, workers, threads) as crew:
        outcome = score_blocks(crew, job, blocks)
    if job.store is not None:
        job.store.sweep()
    rows = f"{outcome.inputs - outcome.failed} of {outcome.inputs} inputs scored, {outcome.rows} rows"
    if estimate is None:
        print(f"{out}: {rows}")
    else:
        needed = hours(outcome, crew.workers, estimate)
        cost = f", {needed * price:.2f} at {price:g} an hour" if price is not None else ""
        rate = outcome.inputs / outcome.seconds * crew.workers
        print(f"{estimate} inputs: {needed:.2f} hours with {crew.workers} workers{cost} ({rows}, {rate:.1f} a second)")
    if outcome.failed:
        raise typer.Exit(2 if outcome.failed == outcome.inputs else 1)

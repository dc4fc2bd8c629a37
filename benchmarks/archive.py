"""How fast is `dpiqa archive` with one and with two workers, and does its memory stay flat over a million rows?

    python benchmarks/archive.py PICTURES [--count 9000] [--repeats 1] [--rows 1000000] [--csv FILE]

Throughput: `--count` of the pictures, with one worker and two in turn, from the end of each run's first block to that
of its last; the ratio is that of two neighbouring runs, and the load of the machine stands beside it, without which it
means little. CPU time a picture, of the workers, of Ray and of the command together, means something on a busy machine
too: two workers on two free cores are faster than one by twice its ratio, at most. Memory: `--rows`
inputs whose readings are those of 200 pictures, scored once by each worker; all else is real, list, blocks, Parquet.
"""

from __future__ import annotations

import os
import re
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Annotated

import pandas as pd
import typer
from measured_on import measured_on
from process_memory import memory_mb

from dpiqa.runtime.archive import cluster
from dpiqa.runtime.archive.cluster import Pool, pool
from dpiqa.runtime.archive.plan import StoredBlocks
from dpiqa.runtime.archive.run import Request, open_archive
from dpiqa.runtime.archive.table import Table
from dpiqa.runtime.archive.worker import Job, Worker
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.runtime.reading import Reading
from dpiqa.runtime.sources import expand

MODEL = Path("dpiqa-lite0-int8")
SAMPLE = 200
Row = Mapping[str, object]


class FromSample(Worker):
    """A worker that scores each of a few pictures once, and gives their readings to all inputs of their names."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._readings: dict[str, Reading] = {}

    def _add(self, uri: str, path: str, table: Table) -> None:
        original = f"/{path.partition('//')[2]}"
        if original not in self._readings:
            self._readings[original] = self._scorer.score(original)
        table.reading(uri, self._readings[original])


def main(
    pictures: Annotated[str, typer.Argument(help="Folder or glob of pictures.")],
    count: Annotated[int, typer.Option(min=100, help="Pictures of a run of the throughput.")] = 9000,
    repeats: Annotated[int, typer.Option(min=0, help="Pairs of runs of the throughput.")] = 1,
    rows: Annotated[int, typer.Option(min=0, help="Rows of the run for the memory.")] = 1_000_000,
    csv: Annotated[Path | None, typer.Option(help="Path of a CSV for the table.")] = None,
) -> None:
    """Print throughput and memory, and write them to a CSV."""
    files = list(islice(map(os.path.abspath, expand(pictures)), max(count, SAMPLE)))
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, pool("local", None, 1):
        if repeats:
            table += throughput(files[:count], Path(folder), repeats)
        if rows:
            table += memory(files[:SAMPLE], Path(folder), rows)
    frame = pd.DataFrame(table).assign(machine=measured_on("ray", "pyarrow", "openvino"))
    if csv:
        with atomic_write(csv) as file:
            frame.to_csv(file, index=False, float_format="%.2f")


def throughput(files: list[str], folder: Path, repeats: int) -> Iterator[Row]:
    """Pictures a second with one worker and two, in turn."""
    ratios = []
    for repeat in range(repeats):
        rates, costs = {}, {}
        for workers in (1, 2):
            marks = []
            for inputs in blocks(Pool(workers), files, folder / f"{repeat}-{workers}"):
                marks.append((perf_counter(), cpu_s(), inputs))
            (began, cpu_before, _), (ended, cpu_after, _) = marks[workers - 1], marks[-1]
            scored = sum(inputs for _, _, inputs in marks[workers:])
            rates[workers], costs[workers] = scored / (ended - began), (cpu_after - cpu_before) / scored * 1000
            load = os.getloadavg()[0]
            echo(f"{workers} workers: {rates[workers]:.1f} a second, {costs[workers]:.1f} ms CPU each, load {load:.1f}")
            yield {"measured": "throughput", "workers": workers, "inputs": scored} | {
                "per_second": rates[workers],
                "cpu_ms": costs[workers],
                "load": load,
            }
        ratios.append((rates[2] / rates[1], costs[1] / costs[2]))
    for name, values in zip(("throughput", "1 / CPU time"), zip(*ratios, strict=True), strict=True):
        echo(f"{name} of two workers to one: median {statistics.median(values):.2f} of {repeats}")


def memory(files: list[str], folder: Path, rows: int) -> Iterator[Row]:
    """Resident megabytes of the driver and of the largest worker, at each tenth of the rows."""
    cluster.Worker = FromSample  # type: ignore[misc]
    names = (f"{number:07}/{files[number % len(files)]}" for number in range(rows))
    began, done, tenths = perf_counter(), 0, 0
    for inputs in blocks(Pool(2), names, folder / "memory"):
        done += inputs
        if done * 10 // rows > tenths:
            tenths = done * 10 // rows
            workers = [memory_mb(pid, "VmRSS") for pid in scoring()]
            driver = memory_mb(os.getpid(), "VmRSS")
            rate = done / (perf_counter() - began)
            echo(f"{done:8} rows  {rate:6.0f} a second  driver {driver:6.1f} MB  worker {max(workers):6.1f} MB")
            yield {"measured": "memory", "workers": 2, "inputs": done} | {
                "per_second": rate,
                "load": os.getloadavg()[0],
                "driver_mb": driver,
                "worker_mb": max(workers),
            }


def blocks(crew: Pool, names: object, out: Path) -> Iterator[int]:
    """Archive inputs; the number of each block's as it is written."""
    listed = out.with_suffix(".txt")
    with listed.open("w") as file:
        file.writelines(f"{name}\n" for name in names)  # type: ignore[attr-defined]
    request = Request(str(listed), 1, MODEL, "auto", 1)
    store, numbers = open_archive(request, str(out), False)
    for block in crew.run(request.job(StoredBlocks(store), store), numbers):
        yield block.inputs
    written = sum(file.stat().st_size for file in out.glob("part-*"))
    echo(f"{len(numbers)} files, {written / 1e6:.1f} MB")


def below() -> Iterator[int]:
    """The processes below this one."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(re.findall(r"^PPid:\s+(\d+)", status.read_text(), re.MULTILINE)[0])
    for pid in parents:
        ancestor = parents[pid]
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid():
            yield pid


def scoring() -> list[int]:
    """Those of them that score."""
    return [pid for pid in below() if b"MapWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cpu_s() -> float:
    """CPU seconds of this process and those below, so far."""
    ticks = 0
    for pid in [os.getpid(), *below()]:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def echo(line: str) -> None:
    """Print to stderr: what the pool has of stdout is for Ray."""
    typer.echo(line, err=True)


if __name__ == "__main__":
    run(main)

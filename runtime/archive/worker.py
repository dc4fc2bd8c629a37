"""What each worker does: score one block of inputs after the other, and write each whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Any, NamedTuple

from dpiqa.errors import DpiqaError, InputError, system_reason
from dpiqa.runtime.archive.inputs import suffix_of
from dpiqa.runtime.archive.journal import Journal
from dpiqa.runtime.archive.plan import Blocks, part_name
from dpiqa.runtime.archive.store import Store, filesystem, is_local, local_path, named
from dpiqa.runtime.archive.table import Table, versions
from dpiqa.runtime.in_order import in_order
from dpiqa.runtime.reading import printable
from dpiqa.runtime.scorer import Scorer
from dpiqa.runtime.sources import VIDEO_SUFFIXES, is_video

_FETCHES = 8  # pictures on their way while one is scored; a video by itself, it may fill a disk


@dataclass(frozen=True)
class Job:
    """What a worker needs; `model` is the file's name and content, so that every machine scores with the same one.

    Without a `store` nothing is kept. `run` names this run of it.
    """

    blocks: Blocks
    store: Store | None
    model: tuple[str, bytes] = field(repr=False)
    engine: str
    threads: int
    fps: float | None
    run: str = field(default_factory=lambda: token_hex(8))


class Block(NamedTuple):
    """What became of a block: how many inputs it has, how many of them failed, its rows and the time it took.

    `reason` says why it could not be written; then the archive must stop.
    """

    block: int
    inputs: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0
    reason: str = ""


class Worker:
    """Scores the blocks of a job, as an actor of Ray Data or by itself."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score the blocks whose numbers are in `batch["block"]`; a Block for each, by column."""
        results = [self._attempt(int(number)) for number in batch["block"]]
        return {name: [getattr(result, name) for result in results] for name in Block._fields}

    def _attempt(self, number: int) -> Block:
        try:
            return self.score(number)
        except DpiqaError as error:
            return Block(number, reason=str(error))
        except OSError as error:
            return Block(number, reason=f"{error.filename or part_name(number)}: {system_reason(error)}")

    @cached_property
    def _scorer(self) -> Scorer:
        name, content = self._job.model
        with tempfile.TemporaryDirectory(prefix="dpiqa-") as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            return Scorer(path, self._job.engine, self._job.threads, jobs=1)

    def score(self, number: int) -> Block:
        """Score a block and write it. Raises DpiqaError where the model cannot be opened or the block not written."""
        scorer, job = self._scorer, self._job
        uris = job.blocks.uris(number)
        began, failed = perf_counter(), 0
        target = job.store.writing(part_name(number)) if job.store else tempfile.TemporaryFile()  # noqa: SIM115
        with (
            target as file,
            closing(Table(file, scorer.spec, versions(scorer.engine.name))) as table,
            Journal(job.run, number) as journal,
        ):
            for place, (uri, future) in enumerate(fetched(uris)):
                try:
                    if not journal.reaches(place):
                        raise InputError("killed its worker three times: too large, or damaged")
                    self._add(uri, future.result(), table)
                except InputError as error:
                    failed += 1
                    table.error(uri, str(error).removeprefix(f"{printable(uri)}: "))
                except (DpiqaError, OSError):  # the engine, the network, the disk
                    raise
                except Exception as error:  # one in ten million must not stop the others, nor be hidden
                    failed += 1
                    table.error(uri, f"unexpected {type(error).__name__}: {error}")
        return Block(number, len(uris), failed, table.count, perf_counter() - began)

    def _add(self, uri: str, path: str, table: Table) -> None:
        try:
            if is_video(path):
                for reading in self._scorer.stream(path, self._job.fps):
                    table.reading(uri, reading)
            else:
                table.reading(uri, self._scorer.score(path))
        except InputError as error:
            raise InputError(str(error).removeprefix(f"{printable(path)}: ")) from None


def fetched(uris: list[str]) -> Iterator[tuple[str, Future[str]]]:
    """Each input with the path of a file that holds it, until the next one is asked for. Its InputError is its own."""
    jobs = 1 if any(suffix_of(uri) in VIDEO_SUFFIXES for uri in uris) else _FETCHES
    with tempfile.TemporaryDirectory(prefix="dpiqa-") as folder:
        tasks = (partial(_fetch, uri, Path(folder, f"{place}{suffix_of(uri)}")) for place, uri in enumerate(uris))
        for place, (uri, future) in enumerate(zip(uris, in_order(tasks, jobs), strict=True)):
            yield uri, future
            Path(folder, f"{place}{suffix_of(uri)}").unlink(missing_ok=True)


def _fetch(uri: str, target: Path) -> str:
    if is_local(uri):
        return local_path(uri)
    with named(uri):
        fs, path = filesystem(uri)
        fs.get_file(path, str(target))
    return str(target)

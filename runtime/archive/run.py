"""An archive from its inputs to its files, and the time that one would take."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dpiqa.errors import InputError
from dpiqa.runtime.archive.cluster import Pool
from dpiqa.runtime.archive.inputs import absolute, inputs
from dpiqa.runtime.archive.plan import INPUTS, ProbeBlocks, Settings, StoredBlocks, begin, blocks_left, load
from dpiqa.runtime.archive.store import Store
from dpiqa.runtime.archive.worker import Block, Job
from dpiqa.runtime.models import find_model, shipped_model
from dpiqa.runtime.progress import ProgressBar
from dpiqa.runtime.scorer import Scorer
from dpiqa.runtime.spec import ModelSpec
from dpiqa.runtime.video import Sampler

_PROBE, _LOOKED_AT = 200, 100_000  # inputs that are scored for an estimate, of so many


class Request:
    """What is to be scored, and with what. Raises DpiqaError where the model or a number cannot be used."""

    def __init__(self, name: str, fps: float | None, model: Path | None, engine: str, threads: int) -> None:
        Sampler(fps)
        self.input = absolute(name)
        self.fps, self.engine, self.threads = fps, engine, threads
        self._model = find_model(model) if model else shipped_model()
        self.spec: ModelSpec = Scorer(self._model, engine, threads, jobs=1).spec

    def uris(self) -> Iterable[str]:
        """All inputs. Raises InputError."""
        return inputs(self.input)

    def job(self, blocks: StoredBlocks | ProbeBlocks, store: Store | None) -> Job:
        """What workers need for it."""
        model = (self._model.name, self._model.read_bytes())
        return Job(blocks, store, model, self.engine, self.threads, self.fps)

    def settings(self) -> Settings:
        """What an archive of it keeps, without its numbers."""
        return Settings(
            input=self.input,
            fps=self.fps,
            model=f"{self.spec.name} {self.spec.version}",
            weights_sha256=self.spec.weights_sha256,
            inputs=0,
            blocks=0,
        )


def open_archive(request: Request, url: str, resume: bool) -> tuple[Store, list[int]]:
    """Begin an archive or go on with one: where it lies, and its blocks that are not written. Raises InputError."""
    store, wanted = Store(absolute(url)), request.settings()
    settings = load(store)
    if settings is None:
        if store.names() - {INPUTS}:  # which an interrupted beginning leaves
            raise InputError(f"{url}: is not empty, choose another folder for --out")
        settings = begin(store, wanted, request.uris())
    elif not resume:
        raise InputError(f"{url}: holds an archive already, go on with --resume or choose another folder for --out")
    for name in ("input", "fps", "model", "weights_sha256"):
        was, now = getattr(settings, name), getattr(wanted, name)
        if was != now:
            raise InputError(f"{url}: was begun with {name} {was}, not {now}; choose another folder for --out")
    return store, blocks_left(store, settings)


@dataclass
class Outcome:
    """What became of all blocks of a run: `seconds` is what the workers took in sum."""

    inputs: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0

    def add(self, block: Block) -> None:
        """Count a block."""
        self.inputs += block.inputs
        self.failed += block.failed
        self.rows += block.rows
        self.seconds += block.seconds


def score_blocks(pool: Pool, job: Job, blocks: list[int]) -> Outcome:
    """Score blocks, with a progress bar. Raises DpiqaError."""
    outcome, bar = Outcome(), ProgressBar()
    bar.total = len(blocks)
    try:
        for count, block in enumerate(pool.run(job, blocks), start=1):
            outcome.add(block)
            bar.update(count, f"{outcome.inputs} inputs, {outcome.failed} failed")
    finally:
        bar.clear()
    return outcome


def sample(uris: Iterable[str]) -> list[str]:
    """Up to 200 of the first 100,000 inputs, any of them equally likely; the same ones each time."""
    considered = list(islice(uris, _LOOKED_AT))
    return random.Random(0).sample(considered, min(_PROBE, len(considered)))


def hours(outcome: Outcome, workers: int, count: int) -> float:
    """How long `count` inputs like those of a probe take so many workers, kept busy."""
    return outcome.seconds / outcome.inputs * count / workers / 3600

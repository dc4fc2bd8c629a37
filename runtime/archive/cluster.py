"""Blocks on Ray Data: a pool of actors, each with its own model, that take one block after the other."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.archive.worker import Block, Job, Worker
from dpiqa.runtime.machine import cores

_OBJECT_STORE_BYTES = 128 << 20  # of a Ray of our own: it holds the model and numbers


@dataclass(frozen=True)
class Pool:
    """So many workers on a running Ray."""

    workers: int

    def run(self, job: Job, blocks: Sequence[int]) -> Iterator[Block]:
        """Score blocks, in any order; each result as it comes.

        What is under way is one block a worker, so that memory is flat. A block whose worker was killed is scored anew,
        by another. Raises DpiqaError where a block cannot be written.
        """
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext
        from ray.exceptions import RayError

        DataContext.get_current().enable_progress_bars = False
        numbers = ray.data.from_items([{"block": block} for block in blocks], override_num_blocks=len(blocks))
        results = numbers.map_batches(
            Worker,  # type: ignore[arg-type]
            batch_size=1,
            compute=ActorPoolStrategy(size=min(self.workers, len(blocks)), max_tasks_in_flight_per_actor=1),
            fn_constructor_args=(job,),
            num_cpus=job.threads,
        )
        try:
            for row in results.iter_rows():
                result = Block(**row)
                if result.reason:
                    raise DpiqaError(result.reason)
                yield result
        except RayError as error:
            raise DpiqaError(f"Ray: {_first_line(error)}") from None


@contextmanager
def pool(address: str, workers: int | None, threads: int) -> Iterator[Pool]:
    """Connect to Ray, or start one on this machine, until the block ends.

    `address`: `auto` for the cluster that this machine belongs to, else one of its own; `local` for one of its own, or
    the address of a cluster. Raises InputError where it cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import ray.data

    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # where Ray writes what it retries
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        try:
            _connect(address)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"--ray {address}: {_first_line(error)}") from None
        try:
            room = int(ray.cluster_resources().get("CPU", 0)) // threads
            yield Pool(workers or max(1, room))
        finally:
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "auto":
        with suppress(ConnectionError):
            ray.init("auto", **quiet)
            return
    if address in ("auto", "local"):
        ray.init(
            "local",
            num_cpus=cores(),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    else:
        ray.init(address, **quiet)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__

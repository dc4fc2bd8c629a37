"""Work that several threads do at once, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_order(tasks: Iterable[Callable[[], T]], jobs: int) -> Iterator[Future[T]]:
    """Do tasks in `jobs` threads; yields each one, done, in the order of `tasks`.

    `tasks` is read in the caller's thread, at most `jobs + 1` ahead of the result that is due, or one after the other
    for one job. An exception of its own comes at its place, as one of a task does, and ends it.
    """
    ahead = jobs + 1 if jobs > 1 else 1
    with ThreadPoolExecutor(jobs) as pool:
        futures = _submitted(tasks, pool)
        pending: deque[Future[T]] = deque()
        try:
            while True:
                while len(pending) < ahead and (future := next(futures, None)) is not None:
                    pending.append(future)
                if not pending:
                    return
                due = pending.popleft()
                due.exception()  # waits
                yield due
        finally:
            for future in pending:
                future.cancel()


def _submitted(tasks: Iterable[Callable[[], T]], pool: ThreadPoolExecutor) -> Iterator[Future[T]]:
    try:
        for task in tasks:
            yield pool.submit(task)
    except Exception as error:
        failed: Future[T] = Future()
        failed.set_exception(error)
        yield failed

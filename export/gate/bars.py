"""Progress for people who wait: on stderr, if that is a terminal, and gone when the work is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")


def progress_bar() -> Progress:
    """A bar to enter and to add tasks to."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def tracked(items: Iterable[Item], label: str, shown: bool) -> Iterable[Item]:
    """The items one by one, with a bar if `shown`."""
    if not shown:
        yield from items
        return
    with progress_bar() as bar:
        yield from bar.track(items, description=label)

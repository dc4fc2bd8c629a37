"""What people see while they wait: lines through a callback, and bars on stderr, if that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
Notify = Callable[[str], None]


def ignore(message: str) -> None:
    """Receive a line of progress and drop it."""


def progress_bar() -> Progress:
    """A bar to enter and to add tasks to; it disappears when the work is done."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def tracked(items: Iterable[Item], label: str, visible: bool) -> Iterable[Item]:
    """The items one by one, with a bar if `visible`."""
    if not visible:
        yield from items
        return
    with progress_bar() as bar:
        yield from bar.track(items, description=label)

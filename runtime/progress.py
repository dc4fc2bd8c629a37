"""A progress bar, shown only to people who wait."""

from __future__ import annotations

import sys
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dpiqa.runtime.text import visible

_PATIENCE_S = 1.0


class ProgressBar:
    """A bar on stderr, if stderr is a terminal, that appears after a second in which nothing was written.

    `total` is the number of files; fractions of a file count.
    """

    def __init__(self) -> None:
        self.total = 0
        self._console = Console(file=sys.stderr)
        self._since = monotonic()
        self._bar: Progress | None = None

    def update(self, done: float, label: str) -> None:
        """Show how many files are done, and which one is in progress."""
        if not sys.stderr.isatty() or monotonic() - self._since < _PATIENCE_S:
            return
        label = visible(label)
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(label, total=self.total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, description=label)

    def clear(self) -> None:
        """Remove the bar before something is written in its place."""
        self._since = monotonic()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

"""How far a block got, on the disk of its machine: an input that kills its worker again and again is left out."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from types import TracebackType

_DEATHS = 3  # of workers at one input; a worker may be killed for another's sake


class Journal:
    """One line for each time that a block is begun, with the places of the inputs it came to; gone when it ends well.

    `run` tells the blocks of one run from those of others.
    """

    def __init__(self, run: str, block: int) -> None:
        self._path = Path(tempfile.gettempdir(), f"dpiqa-{run}-{block}")

    def __enter__(self) -> Journal:
        self._file = self._path.open("ab+", buffering=0)
        self._file.seek(0)
        self._deaths = Counter(line.split()[-1] for line in self._file.read().splitlines() if line)
        self._file.write(b"\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink()

    def reaches(self, place: int) -> bool:
        """Note that an input is next; False for one that killed three workers."""
        name = b"%d" % place
        self._file.write(b" " + name)
        return self._deaths[name] < _DEATHS

"""Which of the scored files are shown, and in which order: worst first, the N worst or best, those of one cause."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dpiqa.errors import DpiqaError, InputError, system_reason
from dpiqa.runtime.output import Output
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import Reading, main_cause
from dpiqa.runtime.tally import Tally


@dataclass(frozen=True)
class Selection:
    """What is asked for: at most `worst` or `best` files, only those whose strongest cause is `cause`, `by_score`."""

    by_score: bool = False
    worst: int | None = None
    best: int | None = None
    cause: str | None = None

    def check(self, causes: Sequence[str]) -> None:
        """Raise DpiqaError for a selection that cannot be made with a model that names `causes`."""
        if self.worst is not None and self.best is not None:
            raise DpiqaError("--worst and --best: choose one of them")
        if self.cause is not None and self.cause not in causes:
            named = f"expected one of {', '.join(causes)}" if causes else "this model names no causes"
            raise DpiqaError(f"--cause {self.cause}: {named}")


@dataclass
class _File:
    source: str
    score: float
    cause: str | None
    readings: list[Reading]
    pool: Pool | None = None


@dataclass
class Selected:
    """An output that holds everything back until the end, and then gives `output` what `selection` asks for.

    A video counts by its mean score and by the strongest cause of its worst frame. `sources` are the selected files.
    """

    output: Output
    selection: Selection
    sources: list[str] = field(default_factory=list)
    _files: list[_File] = field(default_factory=list)
    _frames: list[Reading] = field(default_factory=list)

    def reading(self, reading: Reading) -> None:
        """See Output."""
        if reading.pts_s is None:
            self._keep(_File(reading.source, reading.score, main_cause(reading.causes), [reading]))
            return
        if self._frames and self._frames[0].source != reading.source:
            self._frames = []  # of a video that could not be read to its end
        self._frames.append(reading)

    def video(self, pool: Pool) -> None:
        """See Output."""
        worst = min(self._frames, key=lambda reading: reading.score)
        self._keep(_File(pool.source, pool.summary().mean, main_cause(worst.causes), self._frames, pool))
        self._frames = []

    def end(self, pictures: Tally) -> None:
        """See Output."""
        for file in self._ordered():
            self.sources.append(file.source)
            for reading in file.readings:
                self.output.reading(reading)
            if file.pool is not None:
                self.output.video(file.pool)
        self.output.end(pictures)

    def _keep(self, file: _File) -> None:
        if self.selection.cause not in (None, file.cause):
            return
        self._files.append(file)
        count = self.selection.worst or self.selection.best
        if count is not None and len(self._files) >= 2 * count + 1000:  # bounds the memory, sorting rarely
            self._files = self._ordered()

    def _ordered(self) -> list[_File]:
        asked = self.selection
        if not (asked.by_score or asked.worst or asked.best):
            return self._files
        files = sorted(self._files, key=lambda file: file.score, reverse=asked.best is not None)
        return files[: asked.worst or asked.best]


def copy_files(sources: Sequence[str], folder: Path) -> int:
    """Copy files into a folder, made where it is missing, under their own names; equal names get a number.

    Returns how many. Raises InputError where a file there would be replaced, or the folder cannot be written.
    """
    names: dict[str, str] = {}
    for source in sources:
        path = Path(source)
        name, number = path.name, 2
        while name in names:
            name, number = f"{path.stem}-{number}{path.suffix}", number + 1
        names[name] = source
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if (folder / name).exists():
                raise InputError(f"--copy-to {folder}: {name} is there already, choose another folder")
        for name, source in names.items():
            shutil.copy2(source, folder / name)
    except OSError as error:
        raise InputError(f"--copy-to {folder}: {system_reason(error)}") from None
    return len(names)

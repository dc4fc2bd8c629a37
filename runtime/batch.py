"""What `dpiqa score` does: score every file in turn, tell of those that cannot be, go on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from .errors import DpiqaError, InputError
from .files import atomic_write
from .output import FORMATS, Csv, JsonLines, Output, Table, Writable
from .pooling import Pool
from .progress import Waiting
from .reading import Band
from .scorer import Explanation, Scorer
from .sources import expand, is_video
from .video import announced_duration_s

_BY_SUFFIX = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
_INK: dict[Band, str] = {"bad": "red", "poor": "red", "fair": "yellow", "good": "green", "excellent": "bright_green"}


class Batch:
    """Scores files one after the other, with one frame in memory at a time.

    `complain` gets one line for each name or file that cannot be scored. After `run`, `scored` and `failed` count them;
    with `keep`, `videos` and `pictures` (name to score) hold what a plot needs. `written` names files about to be
    replaced: the whole batch is refused if one of them is to be scored. `explain`, where it is set, gets every picture,
    and of every video the frame that scored lowest.
    """

    def __init__(
        self,
        scorer: Scorer,
        fps: float | None,
        complain: Callable[[str], None],
        keep: bool = False,
        written: Collection[Path] = (),
    ) -> None:
        self._scorer, self._fps, self._complain, self._keep = scorer, fps, complain, keep
        self._written = {path.resolve() for path in written}
        self.explain: Callable[[Explanation], None] = lambda _: None
        self.scored = self.failed = 0
        self.videos: list[Pool] = []
        self.pictures: dict[str, float] = {}

    def run(self, names: Sequence[str], output: Output, waiting: Waiting) -> None:
        """Score what the names stand for (see sources.expand) and write it to `output`.

        Raises DpiqaError if that would replace one of the files to score.
        """
        files: list[str] = []
        for name in names:
            try:
                files += expand(name)
            except InputError as error:
                self._refuse(error)
        for file in files if self._written else ():
            if Path(file).resolve() in self._written:
                raise DpiqaError(f"{file}: is to be scored and written to, choose another name for --out or --plot")
        waiting.total = len(files)
        for done, file in enumerate(files):
            waiting.update(done, file)
            try:
                if is_video(file):
                    self._video(file, output, waiting, done)
                else:
                    self._picture(file, output)
            except InputError as error:
                waiting.clear()
                self._refuse(error)
            else:
                self.scored += 1
        waiting.clear()

    def _picture(self, file: str, output: Output) -> None:
        found = self._scorer.explain(file)
        output.reading(found.reading)
        self.explain(found)
        if self._keep:
            self.pictures[file] = found.reading.score

    def _video(self, file: str, output: Output, waiting: Waiting, done: int) -> None:
        pool, duration_s = Pool(file), announced_duration_s(file)
        worst: Explanation | None = None
        for found in self._scorer.explain_stream(file, self._fps):
            reading = found.reading
            worst = found if worst is None or reading.score < worst.reading.score else worst
            output.reading(reading)
            pool.add(reading)
            share = (reading.pts_s or 0.0) / duration_s if duration_s else 0.0
            waiting.update(done + min(share, 1.0), file)
        output.video(pool)
        if worst is not None:
            self.explain(worst)
        if self._keep:
            self.videos.append(pool)

    def _refuse(self, error: InputError) -> None:
        self.failed += 1
        self._complain(str(error))


def open_output(
    stack: ExitStack, form: str | None, out: Path | None, causes: Sequence[str], before_write: Callable[[], None]
) -> Output:
    """The output in the format asked for (default: by the suffix of `out`, else a table), to `out` or to stdout.

    `before_write` is called before anything reaches a terminal. `out` appears when `stack` ends well.
    """
    form = form or _BY_SUFFIX.get(out.suffix.lower() if out else "", "table")
    if form not in FORMATS:
        raise DpiqaError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    stream: Writable = sys.stdout
    in_colour = False
    if out is not None:
        file = stack.enter_context(atomic_write(out))
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
        stack.callback(text.detach)
        stream = text
    elif sys.stdout.isatty():
        stream = _Terminal(before_write)
        in_colour = not os.environ.get("NO_COLOR")
    if form == "json":
        return JsonLines(stream)
    if form == "csv":
        return Csv(stream, causes)
    return Table(stream, (lambda name, text: typer.style(text, fg=_INK[name])) if in_colour else None)


class _Terminal:
    def __init__(self, before_write: Callable[[], None]) -> None:
        self._before_write = before_write

    def write(self, text: str, /) -> int:
        self._before_write()
        return sys.stdout.write(text)

"""How readings and summaries are written: a table for people, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import typer

from dpiqa.errors import DpiqaError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.parquet import Parquet
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import Band, Reading, band, main_cause, rounded
from dpiqa.runtime.tally import Tally
from dpiqa.runtime.text import visible, visible_lines

MAX_ROWS = 60
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
STAGES = ("decode", "preprocess", "infer", "total")
Paint = Callable[[Band, str], str]


class Writable(Protocol):
    """Anything that text can be written to."""

    def write(self, text: str, /) -> object:
        """Take the next piece of text."""
        ...


class Output(Protocol):
    """Receives each reading as it comes, and the pooled scores of each video at its end."""

    def reading(self, reading: Reading) -> None:
        """Write one frame."""
        ...

    def video(self, pool: Pool) -> None:
        """Write the summary of a video after its last reading."""
        ...

    def end(self, pictures: Tally) -> None:
        """Write what is left once everything was scored; `pictures` counts the pictures among it."""
        ...


class JsonLines:
    """One JSON object a line: a reading for each frame, a summary after each video."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream

    def reading(self, reading: Reading) -> None:
        """See Output."""
        self._stream.write(reading.to_json() + "\n")

    def video(self, pool: Pool) -> None:
        """See Output."""
        self._stream.write(pool.summary().to_json() + "\n")

    def end(self, pictures: Tally) -> None:
        """See Output."""


class Csv:
    """One row for each reading and one header; summaries have other fields, and are left to the other formats."""

    def __init__(self, stream: Writable, causes: Sequence[str] = ()) -> None:
        self._causes = causes
        self._writer = csv.writer(stream, lineterminator="\n")
        header = ["source", "index", "pts_s", "score", "band", "void", *(f"cause_{name}" for name in causes)]
        self._writer.writerow(header + [f"{stage}_ms" for stage in STAGES])

    def reading(self, reading: Reading) -> None:
        """See Output."""
        values = reading.model_dump(mode="json")
        row = [values[name] for name in ("source", "index", "pts_s", "score", "band", "void")]
        row += [values["causes"].get(name) for name in self._causes]
        self._writer.writerow(row + [values["latency_ms"].get(stage) for stage in STAGES])

    def video(self, pool: Pool) -> None:
        """See Output."""

    def end(self, pictures: Tally) -> None:
        """See Output."""


class Table:
    """A row for each picture as it comes, and their summary; for each video its curve in at most 60 rows and summary.

    Where there is nothing to see, `black`, `white` or `flat` stands for the quality. `paint` may colour the name of a
    band.
    """

    def __init__(self, stream: Writable, paint: Paint | None = None) -> None:
        self._stream, self._paint = stream, paint or (lambda _, text: text)
        self._has_header = False

    def reading(self, reading: Reading) -> None:
        """See Output."""
        if reading.pts_s is not None:
            return
        if not self._has_header:
            self._stream.write(f"{'score':>5}  {'quality':9}  {'cause':13}  {'ms':>6}  picture\n")
            self._has_header = True
        name = self._paint(reading.band, f"{reading.void or reading.band:9}")
        cause = (main_cause(reading.causes) or "").replace("_", " ")
        self._stream.write(
            f"{reading.score:5.1f}  {name}  {cause:13}  {reading.latency_ms['total']:6.1f}  {visible(reading.source)}\n"
        )

    def video(self, pool: Pool) -> None:
        """See Output."""
        self._has_header = False
        summary = pool.summary()
        step_s = next((step for step in STEPS_S if summary.duration_s <= step * MAX_ROWS), STEPS_S[-1])
        rows = [visible(summary.source), f"{'time':>8}  {'score':>5}  {'lowest':>6}  quality"]
        for part in pool.intervals(step_s):
            name = band(part.mean)
            quality = self._paint(name, part.void or name)
            rows.append(f"{clock(part.pts_s):>8}  {part.mean:5.1f}  {part.min:6.1f}  {quality}")
        worst = summary.worst_second
        rows += [
            f"{summary.frames} frames in {summary.duration_s:.1f} s: mean {summary.mean:.1f} "
            f"({self._paint(summary.band, summary.band)}), harmonic mean {summary.harmonic_mean:.1f}, "
            f"5th percentile {summary.p5:.1f}, lowest {summary.min:.1f}, "
            f"worst second {worst.mean:.1f} at {clock(worst.pts_s, 1)}"
        ]
        if summary.void_frames:
            rows.append(f"{summary.void_frames} frames show nothing: black, white or one colour")
        self._stream.write("\n".join(rows) + "\n")

    def end(self, pictures: Tally) -> None:
        """See Output."""
        if len(pictures) > 1:
            self._stream.write("\n".join(pictures.lines()) + "\n")


class VmafJson:
    """One JSON document of one video in the layout of VMAF's reports, which its viewers read: frames, metrics, pooled.

    The metrics are `dpiqa` and, 0 to 1 each, `dpiqa_CAUSE`.
    """

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self._frames: list[dict[str, object]] = []
        self._source: str | None = None

    def reading(self, reading: Reading) -> None:
        """See Output. Raises DpiqaError for a second video, and for a picture."""
        if self._source not in (None, reading.source) or reading.pts_s is None or reading.index < len(self._frames):
            raise DpiqaError("--format vmaf-json: takes one video, as VMAF's reports do")
        metrics = {"dpiqa": reading.score, **{f"dpiqa_{name}": value for name, value in reading.causes.items()}}
        self._source = reading.source
        self._frames.append({"frameNum": reading.index, "metrics": rounded(metrics)})

    def video(self, pool: Pool) -> None:
        """See Output."""
        summary = pool.summary()
        pooled = {"min": summary.min, "max": float(pool.curve()[1].max()), "mean": summary.mean}
        pooled["harmonic_mean"] = summary.harmonic_mean
        report = {"version": version("dpiqa-edge"), "frames": self._frames}
        report["pooled_metrics"] = {"dpiqa": rounded(pooled)}
        self._stream.write(json.dumps(report | {"aggregate_metrics": {}}, indent=1) + "\n")

    def end(self, pictures: Tally) -> None:
        """See Output."""


def clock(seconds: float, decimals: int = 0) -> str:
    """Seconds as minutes and seconds, or with hours where there are any: 0:07, 1:02:30."""
    minutes, rest = divmod(round(seconds, decimals), 60)
    hours, minutes = divmod(int(minutes), 60)
    last = f"{rest:0{3 + decimals if decimals else 2}.{decimals}f}"
    return f"{hours}:{minutes:02}:{last}" if hours else f"{minutes}:{last}"


FORMATS: dict[str, Callable[[Writable, Sequence[str], Paint | None], Output]] = {
    "table": lambda stream, _, paint: Table(stream, paint),
    "json": lambda stream, *_: JsonLines(stream),
    "csv": lambda stream, causes, _: Csv(stream, causes),
    "vmaf-json": lambda stream, *_: VmafJson(stream),
}
_PARQUET = "parquet"  # the one that is not text
_BY_SUFFIX = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".parquet": _PARQUET}
_INK: dict[Band, str] = {"bad": "red", "poor": "red", "fair": "yellow", "good": "green", "excellent": "bright_green"}


def open_output(
    stack: ExitStack, form: str | None, out: Path | None, causes: Sequence[str], before_write: Callable[[], None]
) -> Output:
    """The output in a format of FORMATS or as Parquet, to `out` or to stdout (default: by its suffix, else a table).

    `before_write` is called before anything reaches a terminal. `out` appears when `stack` ends well.
    """
    form = form or _BY_SUFFIX.get(out.suffix.lower() if out else "", "table")
    if form not in (*FORMATS, _PARQUET):
        raise DpiqaError(f"--format {form}: expected one of {', '.join((*FORMATS, _PARQUET))}")
    if form == _PARQUET:
        if out is None:
            raise DpiqaError("--format parquet: is not text, name a file with --out")
        return Parquet(stack.enter_context(atomic_write(out)), causes)
    stream: Writable = sys.stdout
    in_colour = False
    if out is not None:
        file = stack.enter_context(atomic_write(out))
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
        stack.callback(text.detach)
        stream = text
    elif sys.stdout.isatty():
        stream = _Terminal(before_write, form == "table")
        in_colour = not os.environ.get("NO_COLOR")
    paint: Paint | None = (lambda name, text: typer.style(text, fg=_INK[name])) if in_colour else None
    return FORMATS[form](stream, causes, paint)


class _Terminal:
    def __init__(self, before_write: Callable[[], None], may_colour: bool) -> None:
        self._before_write, self._may_colour = before_write, may_colour

    def write(self, text: str, /) -> int:
        self._before_write()
        return sys.stdout.write(text if self._may_colour else visible_lines(text))

"""JSON lines and CSV, in files rotated by size."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dpiqa.errors import InputError, system_reason
from dpiqa.runtime.monitor.messages import TEXT_MESSAGES, LiveReading, Message, Signals, to_json
from dpiqa.runtime.monitor.settings.sinks import RollingSettings
from dpiqa.runtime.text import visible

_STAGES = ("decode", "wait", "preprocess", "infer", "signals", "total")
_MB = 1_000_000


class RollingFile:
    """Appends whole records; a failed write leaves the file unchanged.

    What cannot be renamed or truncated (a device, a pipe) just grows. Raises InputError if it cannot be opened.
    """

    def __init__(self, settings: RollingSettings) -> None:
        self._path, self._max_bytes, self._keep = settings.path, int(settings.max_mb * _MB), settings.keep
        self._is_regular = not self._path.exists() or self._path.is_file()
        try:
            self._open()
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written, {system_reason(error)}") from None
        if self.size and self._is_regular and not self._ends_a_line():
            self._append(b"\n")  # the previous process was killed while writing

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._descriptor).st_size if self._is_regular else 0

    def first_line(self) -> bytes:
        """The first line of the file, b"" if there is none."""
        with self._path.open("rb") as file:
            return file.readline()

    def append(self, records: bytes, header: bytes = b"") -> None:
        """Write whole lines, preceded by `header` if the file is new. Raises OSError."""
        if self.size and self.size + len(records) > self._max_bytes:
            self.roll()
        self._append(records if self.size else header + records)

    def roll(self) -> None:
        """Rename the file and start a new one. Raises OSError."""
        if not self._is_regular:
            return
        for number in range(self._keep - 1, 0, -1):
            if self._numbered(number).exists():
                self._numbered(number).replace(self._numbered(number + 1))
        if self._keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()
        old = self._descriptor
        self._open()
        os.close(old)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _ends_a_line(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def _append(self, records: bytes) -> None:
        before, rest = self.size, memoryview(records)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            if self._is_regular:
                os.ftruncate(self._descriptor, before)
            raise


class JsonLines:
    """Every message, one JSON object per line. Raises InputError if the file cannot be opened."""

    name, linger_s = "jsonl", 0.0
    accepts = TEXT_MESSAGES

    def __init__(self, settings: RollingSettings) -> None:
        self._file = RollingFile(settings)

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        lines = (visible(json.dumps(to_json(message), ensure_ascii=False)) + "\n" for message in messages)
        self._file.append("".join(lines).encode())

    def close(self) -> None:
        """See Writer."""
        self._file.close()


class Csv:
    """Readings, one row each; a file with other columns is rotated. Raises InputError if it cannot be opened."""

    name, linger_s = "csv", 0.0
    accepts: tuple[type, ...] = (LiveReading,)

    def __init__(self, settings: RollingSettings) -> None:
        self._file = RollingFile(settings)
        self._columns: list[str] = []

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """See Writer."""
        rows = [_row(message) for message in messages if isinstance(message, LiveReading)]
        text = io.StringIO()
        columns = self._columns or list(rows[0])
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        header = text.getvalue().encode()
        if not self._columns and self._file.size and self._file.first_line() != header:
            self._file.roll()
        self._columns = columns
        writer.writerows(rows)
        self._file.append(text.getvalue().encode()[len(header) :], header)

    def close(self) -> None:
        """See Writer."""
        self._file.close()


def _row(reading: LiveReading) -> dict[str, object]:
    line = to_json(reading)
    names = ("source", "wall_time", "pts_s", "index", "width", "height", "score", "band", "void", "baseline")
    row: dict[str, object] = {name: line[name] for name in names}
    row |= {field.name: line["signals"][field.name] for field in fields(Signals)}
    row |= {f"cause_{name}": strength for name, strength in line["causes"].items()}
    return row | {f"{stage}_ms": line["latency_ms"].get(stage) for stage in _STAGES}

"""What a part of the proof has found so far: a JSON file that is whole after every step of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Part:
    """The metrics of one part. Every change is on disk at once, since a part may be ended by its time limit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.results: dict[str, Any] = {"left_out": []}
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.results))
        os.replace(temporary, self._path)

    def set(self, **values: Any) -> None:
        """Keep these metrics."""
        self.results |= values
        self.save()

    def add(self, table: str, **row: Any) -> None:
        """Append a row to a table."""
        self.results.setdefault(table, []).append(row)
        self.save()

    def leave_out(self, what: str) -> None:
        """Say what was not done, and why."""
        self.results["left_out"].append(what)
        self.save()

"""What the alarms know of every camera, kept in a file over a restart."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpiqa.errors import InputError, system_reason
from dpiqa.runtime.files import atomic_write

log = logging.getLogger(__name__)

_VERSION = 1
_MAX_BYTES = 64_000_000


class MemoryFile:
    """A JSON file beside the history, readable by its owner only; `model` is the one whose scores it knows."""

    def __init__(self, path: Path, model: str) -> None:
        self._path, self._model = path, model
        self._failed = False

    def load(self) -> dict[str, Any]:
        """What is known by camera, nothing where there is no such file or it is of no use."""
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                raise ValueError("too long")
            document = json.loads(self._path.read_text("utf-8"))
            if document["version"] != _VERSION:
                raise ValueError("of another version")
            if document["model"] != self._model:
                log.info("%s: belongs to another model, baselines are learnt anew", self._path)
                return {}
            return dict(document["cameras"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("%s: cannot be used (%s), baselines are learnt anew", self._path, error)
            return {}

    def save(self, cameras: Mapping[str, Any]) -> None:
        """Replace the file; a failure is logged once until it works again."""
        document = {"version": _VERSION, "model": self._model, "cameras": cameras}
        try:
            with atomic_write(self._path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(json.dumps(document).encode())
            self._failed = False
        except (InputError, OSError) as error:
            if not self._failed:
                reason = system_reason(error) if isinstance(error, OSError) else error
                log.warning("baselines are not kept: %s", reason)
            self._failed = True

"""A dashboard over a history, and a client of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from dpiqa.runtime.monitor.dashboard.sink import Dashboard
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.messages import Snapshot
from dpiqa.runtime.monitor.settings.sinks import DashboardSettings, HistorySettings
from dpiqa.runtime.monitor.snapshots import jpeg_thumbnail

Served = tuple[Dashboard, httpx.Client]
NEVER = threading.Event()
TOKEN = "a token for the tests only"
MAP = np.array([[0, 100], [50, 100]], np.float32)


def snapshot(source: str = "cam", quality_map: np.ndarray | None = MAP, score: float = 80.0) -> Snapshot:
    picture = jpeg_thumbnail(np.full((360, 640, 3), 128, np.uint8))
    return Snapshot(source, time.time(), score, picture, quality_map)


@contextmanager
def serving(history: Path, **settings: Any) -> Iterator[Served]:
    """A dashboard over a history, and a client of it."""
    if not history.exists():
        History(HistorySettings(path=history)).close()
    act = settings.pop("act", lambda action: None)
    dashboard = Dashboard(DashboardSettings.model_validate({"port": 0} | settings), history, dict, act)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{dashboard.port}", timeout=30) as client:
            yield dashboard, client
    finally:
        dashboard.close()

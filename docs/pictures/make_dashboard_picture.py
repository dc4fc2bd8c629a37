"""Draw docs/dashboard.png: the dashboard with six cameras, each showing part of examples/clip.mp4 for an hour.

    python docs/pictures/make_dashboard_picture.py

Scores, signals and events are those of the shipped model and of the alarms; only the hour is simulated: a camera shows
clean frames of the clip most of the time, and now and then one of its bad stretches. Needs the extras `monitor` and
`test`, and Chromium in the PATH.
"""

from __future__ import annotations

import io
import random
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from make_clip import STRETCHES
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

from dpiqa import Scorer
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.dashboard.sink import Dashboard
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.messages import LiveReading, Message, Snapshot, Status
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.settings.sinks import DashboardSettings, HistorySettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.monitor.snapshots import Snapshots, jpeg_thumbnail
from dpiqa.runtime.reading import band
from dpiqa.runtime.video import read_video

ROOT = Path(__file__).resolve().parents[2]
HOUR_S, STEP_S = 3600, 10
LOST_S = 150
# Left edge in the clip, whether mirrored, and bad stretches: (from, to, in seconds of the hour; index in STRETCHES).
CAMERAS: dict[str, tuple[int, bool, Sequence[tuple[int, int, int]]]] = {
    "door": (0, False, ()),
    "yard": (240, False, ((900, 1140, 1),)),
    "gate": (480, True, ((600, 700, 0), (3480, 3600, 3))),
    "car park": (720, False, ((2300, 2450, 2),)),
    "loading bay": (240, True, ()),
    "roof": (0, True, ((1800, 1890, 0),)),
}
NEVER = threading.Event()

Scored = tuple[float, NDArray[np.uint8]]


def frames_of(clip: Sequence[NDArray[np.uint8]], scorer: Scorer, left: int, is_mirrored: bool) -> list[Scored]:
    """The view of a camera in each second of the clip, 1200 x 675 pixels of it, and its score."""
    scored = []
    for frame in clip:
        part = frame[200:875, left : left + 1200]
        part = cv2.resize(part[:, ::-1] if is_mirrored else part, (640, 360), interpolation=cv2.INTER_AREA)
        scored.append((scorer.score(part).score, np.asarray(part, np.uint8)))
    return scored


def hour_of(name: str, until: float, clip: Sequence[NDArray[np.uint8]], scorer: Scorer) -> list[Message]:
    """The messages of a camera over the hour that ends at `until`, Unix seconds."""
    left, is_mirrored, bad = CAMERAS[name]
    frames, rng = frames_of(clip, scorer, left, is_mirrored), random.Random(name)
    distorted = [[s for s in range(len(frames)) if begin < s < end - 0.5] for begin, end, _ in STRETCHES]
    clean = [s for s in range(len(frames)) if not any(begin - 0.5 <= s <= end + 0.5 for begin, end, _ in STRETCHES)]
    # Cuts between seconds of the clip are no scene changes, and hide nothing.
    off = {"enabled": False}
    settings = AlarmSettings.model_validate({"global_scene_change": off, "obstructed": off})
    alarms, meter, snapshots = SourceAlarms(settings), open_meter(), Snapshots()
    messages: list[Message] = [Status(name, "up", "frames arrive", until - HOUR_S, 0, 0, 0)]
    lost_at = HOUR_S - LOST_S if name == "roof" else HOUR_S
    for at in range(0, lost_at, STEP_S):
        which = next((number for begin, end, number in bad if begin <= at < end), None)
        score, pixels = frames[rng.choice(clean if which is None else distorted[which])]
        score = min(100.0, max(0.0, score + rng.gauss(0, 0.7)))
        reading = LiveReading(
            source=name,
            wall_time=until - HOUR_S + at,
            pts_s=float(at),
            index=at * 25,
            width=1920,
            height=1080,
            score=score,
            band=band(score),
            causes={},
            signals=meter.measure(pixels),
            latency_ms={"total": 31.0},
            baseline=alarms.baseline,
        )
        events = alarms.on_reading(reading, pixels)
        snapshot = snapshots.take(reading, pixels, None) or Snapshot(
            name, reading.wall_time, score, jpeg_thumbnail(pixels)
        )
        messages += [reading, *events, snapshot]
    last = Status(name, "up", "frames arrive", until, 0, 0, lost_at * 5, 5.0)
    if name == "roof":
        last = Status(**asdict(last) | {"state": "down", "reason": "connection timed out", "wall_time": until - LOST_S})
    return [*messages, last, *alarms.on_status(last)]


def main() -> None:
    """Draw the picture."""
    clip = [frame.pixels for frame in read_video(str(ROOT / "examples" / "clip.mp4"), fps=1)]
    until, scorer = time.time(), Scorer()
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "history.db"
        history = History(HistorySettings(path=path))
        dashboard = Dashboard(DashboardSettings(port=0), path, dict)
        for name in CAMERAS:
            messages = hour_of(name, until, clip, scorer)
            history.write(messages, NEVER)
            dashboard.write(messages, NEVER)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1040, "height": 720})
        page.goto(f"http://127.0.0.1:{dashboard.port}/")
        page.wait_for_timeout(5000)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shot.quantize(256, Image.Quantize.FASTOCTREE).save(ROOT / "docs" / "dashboard.png", optimize=True)
        browser.close()
        dashboard.close()
        history.close()


if __name__ == "__main__":
    main()

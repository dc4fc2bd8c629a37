"""Many sources and one engine: fairness, counts, reloading, clocks that jump."""

from __future__ import annotations

import itertools
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from live import Collected, encode, moving, watching
from made import photo

from dpiqa.errors import EngineError
from dpiqa.runtime.engines.base import Engine, TimedPrediction
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.planes import Planes


class Slow:
    """An engine that takes its time, and now and then fails."""

    def __init__(self, engine: Engine, seconds: float, fails_at: int = 0) -> None:
        self._engine, self._seconds, self._calls, self._fails_at = engine, seconds, itertools.count(1), fails_at
        self.name, self.spec, self.infer, self.requests = engine.name, engine.spec, engine.infer, engine.requests

    def score(self, picture: np.ndarray | Planes) -> TimedPrediction:
        time.sleep(self._seconds)
        if next(self._calls) == self._fails_at:
            raise EngineError("no memory left")
        return self._engine.score(picture)


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of H.264."""
    return encode(tmp_path_factory.mktemp("long") / "long.ts", moving(300))


def _live(path: Path, name: str, **more: object) -> dict[str, object]:
    return {"source": str(path), "name": name, "live": True, "paced": True, **more}


def _shares(seen: Collected, names: str) -> list[int]:
    """How often each was scored since all had begun: on a busy machine some sources open late."""
    order = [reading.source for reading in seen.readings() if reading.source in names]
    begun = max(order.index(name) for name in names)
    return [order[begun:].count(name) for name in names]


@pytest.mark.slow
def test_an_overloaded_engine_is_shared_fairly(engine: Engine, long: Path, caplog: pytest.LogCaptureFixture) -> None:
    cameras = [_live(long, name, fps=fps) for name, fps in (("a", 25), ("b", 25), ("c", 25), ("slow", 1))]
    with watching(Slow(engine, 0.05), *cameras, status_interval_s=1) as (_, seen):
        seen.wait(lambda: len(seen.statuses("a")) >= 6)
        shares, slow = _shares(seen, "abc"), len(seen.readings("slow"))
        status = seen.statuses("a")[-1]
    assert max(shares) - min(shares) <= 4
    assert slow >= 3
    times = [reading.wall_time for reading in seen.readings("slow")]
    assert max(after - before for before, after in itertools.pairwise(times)) < 1.7
    assert status.dropped > 20
    assert status.fps is not None
    assert 3 < status.fps < 8
    assert status.asked_fps == 25
    assert len(re.findall(r"a: asked 25\.0, given [3-7]\.\d scores/s", caplog.text)) == 1
    assert max(reading.latency_ms["total"] for reading in seen.readings()) < 1000


def test_a_frame_that_cannot_be_scored_ends_nothing(
    engine: Engine, stream: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(Slow(engine, 0, fails_at=10), {"source": str(stream), "name": "a"}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert len(seen.readings()) == 49
    assert "a: a frame could not be scored: no memory left" in caplog.text


def test_reloading_disturbs_only_what_changes(engine: Engine, long: Path) -> None:
    kept, changed, gone = _live(long, "kept"), _live(long, "changed"), _live(long, "gone")
    with watching(engine, kept, changed, gone, fps=10) as (monitor, seen):
        seen.wait(lambda: all(seen.readings(name) for name in ("kept", "changed", "gone")))
        readers = {camera.name: camera.reader_id for camera in monitor.cameras}
        after = MonitorSettings.model_validate(
            {"fps": 10, "cameras": [kept, _live(long, "changed", stall_s=9), _live(long, "new")]}
        )
        monitor.call_soon(lambda: monitor.apply(after))
        seen.wait(lambda: seen.readings("new"))
        count = len(seen.readings("kept"))
        seen.wait(lambda: len(seen.readings("kept")) > count + 3)
        now = {camera.name: camera.reader_id for camera in monitor.cameras}
    assert set(now) == {"kept", "changed", "new"}
    assert now["kept"] == readers["kept"]
    assert now["changed"] != readers["changed"]
    assert seen.states("kept")[:2] == ["connecting", "up"]
    assert seen.states("changed")[:4] == ["connecting", "up", "connecting", "up"]
    assert seen.statuses("gone")[-1].state == "removed"
    indices = [reading.index for reading in seen.readings("kept")]
    assert indices == sorted(indices)


def test_a_wall_clock_that_jumps_changes_only_labels(engine: Engine, long: Path) -> None:
    jumps = itertools.cycle([0.0, 1e8, -1e8])
    cameras = [_live(long, name, fps=10, stall_s=1) for name in "ab"]
    began = time.monotonic()
    with watching(engine, *cameras, wall_clock=lambda: 1.8e9 + next(jumps), status_interval_s=0.5) as (_, seen):
        seen.wait(lambda: len(seen.readings("a")) >= 20 and len(seen.readings("b")) >= 20)
        elapsed_s = time.monotonic() - began
        rates = [status.fps for status in seen.statuses() if status.fps is not None]
    assert 1.5 < elapsed_s < 6
    assert {status.state for status in seen.statuses()} == {"connecting", "up"}
    assert seen.events() == []
    assert all(0 <= rate < 30 for rate in rates)
    assert all(0 <= reading.latency_ms["total"] < 2000 for reading in seen.readings())


def test_alarms_and_baseline_travel_with_the_readings(engine: Engine, tmp_path: Path) -> None:
    dark = [np.zeros_like(photo())] * 50
    clip = encode(tmp_path / "dark.ts", [*moving(100), *dark, *moving(50)])
    alarms = {"baseline": {"learn_s": 2}}
    with watching(engine, {"source": str(clip), "name": "a", "alarms": alarms}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    black = [event for event in seen.events() if event.kind == "Black"]
    assert [event.state for event in black] == ["raised", "cleared"]
    assert black[0].thumbnail is not None
    assert black[0].thumbnail.startswith(b"\xff\xd8")
    assert float(black[0].evidence["pts_s"]) == pytest.approx(4, abs=0.3)
    assert seen.readings()[0].baseline is None
    assert seen.readings()[-1].baseline is not None


def test_a_status_says_what_sinks_have_lost(engine: Engine, long: Path) -> None:
    with watching(engine, _live(long, "a"), status_interval_s=0.2) as (_, seen):
        seen.wait(lambda: any(status.state == "up" for status in seen.statuses("a")))
        seen.lost = 3
        seen.wait(lambda: seen.statuses("a")[-1].lost == {"collected": 3})
    assert seen.statuses("a")[0].lost == {}


class Counting(Slow):
    """A slow engine for several callers that records how many are in it, and whose frames."""

    def __init__(self, engine: Engine, seconds: float, requests: int) -> None:
        super().__init__(engine, seconds)
        self.requests, self.inside, self.most, self._lock = requests, 0, 0, threading.Lock()

    def score(self, picture: np.ndarray | Planes) -> TimedPrediction:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        prediction = super().score(picture)
        with self._lock:
            self.inside -= 1
        return prediction


def test_as_many_frames_are_scored_at_once_as_the_engine_wants(engine: Engine, long: Path) -> None:
    counting = Counting(engine, 0.1, requests=2)
    with watching(counting, *[_live(long, name, fps=25) for name in "abc"]) as (_, seen):
        seen.wait(lambda: len(seen.readings()) >= 40)
        shares = _shares(seen, "abc")
    assert counting.most == 2
    assert max(shares) - min(shares) <= 4
    for name in "abc":
        indices = [reading.index for reading in seen.readings(name)]
        assert indices == sorted(set(indices))


def test_one_camera_has_one_frame_scored_at_a_time(engine: Engine, stream: Path) -> None:
    counting = Counting(engine, 0.01, requests=4)
    with watching(counting, {"source": str(stream), "name": "a"}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert counting.most == 1
    assert [reading.index for reading in seen.readings()] == list(range(50))

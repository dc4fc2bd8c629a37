"""The example clip over RTSP, again and again: every stretch raises its events when it is shown, nothing else does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest
from live import RATE, RtspServer, rtsp_missing, watching

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import INT8_MODEL, shipped_model
from dpiqa.runtime.monitor.messages import Event, LiveReading, Message

pytestmark = pytest.mark.slow

LOOPS = int(os.environ.get("DPIQA_LOOPS", "1"))
HEIGHT = 540 if LOOPS == 1 else 1080  # a busy machine has no time for every frame in full size
CLIP = Path(__file__).parents[3] / "examples" / "clip.mp4"
FROZEN_AT_S, FROZEN_S = 10.4, 4.0
LOOP_S = 20 + FROZEN_S
STRETCHES = {  # from second to second
    (2.5, 5.0): {"QualityDrop", "ImageTooBlurry"},
    (7.0, 9.5): {"QualityDrop"},
    (FROZEN_AT_S, FROZEN_AT_S + FROZEN_S): {"Frozen"},
    (11.5 + FROZEN_S, 14.0 + FROZEN_S): {"QualityDrop"},
    (16.0 + FROZEN_S, 18.0 + FROZEN_S): {"QualityDrop", "ImageTooDark"},
}
# Of the QualityDrops, in their order. The picture pans while it is out of focus, so motion is not wrong.
CAUSES = [{"blur", "motion"}, {"noise"}, {"compression"}, {"exposure_low"}]
WITHIN_S, HOLD_S, FPS = 2.0, 1.0, 5
ALARMS: dict[str, dict[str, Any]] = {"frozen": {"hold_s": HOLD_S}, "baseline": {"minimum": 5, "learn_s": 0}}


class Change(NamedTuple):
    kind: str
    state: str
    at_s: float  # stream time of the report


@pytest.fixture(scope="module")
def freezing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip, encoded anew with one frame shown over and over."""
    if reason := rtsp_missing():
        pytest.skip(reason)
    path = tmp_path_factory.mktemp("rtsp") / "freezing.mp4"
    with av.open(str(CLIP)) as clip, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = HEIGHT * 16 // 9, HEIGHT, "yuv420p"
        for number, full in enumerate(_with_freeze(clip.decode(video=0))):
            frame = full.reformat(stream.width, stream.height)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _with_freeze(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    for number, frame in enumerate(frames):
        repeats = FROZEN_S * RATE if number == FROZEN_AT_S * RATE else 0
        for _ in range(1 + round(repeats)):
            yield frame


def test_the_clip_raises_its_events_in_every_loop_and_no_others(freezing: Path) -> None:
    engine = open_engine(shipped_model(INT8_MODEL), threads=1)
    with RtspServer(freezing) as server:
        camera = {"source": server.url(), "name": "clip", "alarms": ALARMS}
        with watching(engine, camera, fps=FPS) as (_, seen):
            until_s = LOOPS * LOOP_S
            seen.wait(lambda: any((reading.pts_s or 0) > until_s for reading in seen.readings()[-1:]), 60 + 2 * until_s)
    changes = [event for event in _changes(seen.messages) if event.at_s < until_s]
    times = [reading.pts_s or 0.0 for reading in seen.readings()][1:]  # FFmpeg looks at a second of it first
    late_s = max(later - earlier for earlier, later in pairwise(times)) - 1 / FPS
    if late_s > HOLD_S / 2:
        pytest.skip(f"needs a machine that is less busy: for {late_s:.1f} s it had no time to score a frame")
    learnt_s = times[ALARMS["baseline"]["minimum"] - 1]
    if learnt_s > min(begin for begin, _ in STRETCHES):
        pytest.skip(f"needs a machine that is less busy: there was no baseline before {learnt_s:.1f} s")
    for kind in {event.kind for event in changes} | set().union(*STRETCHES.values()):
        due = [
            (state, number * LOOP_S + second_s)
            for number in range(LOOPS)
            for stretch, kinds in STRETCHES.items()
            for state, second_s in zip(("raised", "cleared"), stretch, strict=True)
            if kind in kinds
        ]
        reported = [(event.state, event.at_s) for event in changes if event.kind == kind]
        assert [state for state, _ in reported] == [state for state, _ in due], kind
        after_s = [at_s - second_s for (_, at_s), (_, second_s) in zip(reported, due, strict=True)]
        print(f"{kind}: {len(reported)} times, reported after {min(after_s):.2f} to {max(after_s):.2f} s")
        assert min(after_s) >= 0
        assert max(after_s) <= WITHIN_S + late_s
    drops = [event.evidence for event in seen.events() if (event.kind, event.state) == ("QualityDrop", "raised")]
    for evidence, causes in zip(drops[: 4 * LOOPS], CAUSES * LOOPS, strict=True):
        assert evidence.get("likely_cause") in causes
    blockiest = max(drops[:4], key=lambda evidence: float(evidence["blockiness"]))
    assert drops.index(blockiest) == CAUSES.index({"compression"})


def _changes(messages: list[Message]) -> Iterator[Change]:
    now_s = 0.0
    for message in messages:
        if isinstance(message, LiveReading):
            now_s = message.pts_s or 0.0
        elif isinstance(message, Event):
            yield Change(message.kind, message.state, now_s)

"""What the dashboard's API answers, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dpiqa.runtime.monitor.messages import SourceState
from dpiqa.runtime.reading import Band
from dpiqa.runtime.void import Void

Time = Annotated[float, Field(description="Unix seconds")]
Score = Annotated[float, Field(ge=0, le=100, description="0 (bad) to 100 (excellent)")]
Evidence = dict[str, float | str]
Gaps = list[float | None]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class OpenEvent(_Answer):
    """Something that is wrong with a camera now."""

    kind: str
    began: Time
    evidence: Evidence


class Camera(_Answer):
    """A camera as it is now. `trouble` orders cameras: the more, the sooner somebody should look.

    `since` is when its state changed; what comes from its latest reading is null before there is one.
    """

    source: str
    state: SourceState
    reason: str
    since: Time
    trouble: float
    events: list[OpenEvent]
    reconnects: int
    dropped: int
    scored: int
    fps: float | None
    wall_time: Time | None = None
    score: Score | None = None
    band: Band | None = None
    void: Annotated[Void | None, Field(description="Set where the latest frame shows nothing")] = None
    baseline: Score | None = None
    width: int | None = None
    height: int | None = None
    causes: dict[str, float] = {}
    signals: dict[str, float | None] = {}
    latency_ms: dict[str, float] = {}
    snapshot_time: Time | None = None
    has_map: bool = False


class Curve(_Answer):
    """Scores over time: the mean, the lowest and the highest of each step that has any."""

    step_s: float
    times: list[Time]
    score: list[float]
    low: list[float]
    high: list[float]


class Details(_Answer):
    """Baseline, signals and causes over time, of one frame in each step that has any."""

    times: list[Time]
    baseline: Gaps
    signals: dict[str, Gaps]
    causes: dict[str, Gaps]


class Past(_Answer):
    """One camera over a period."""

    source: str
    since: Time
    until: Time
    curve: Curve
    details: Details


class PastEvent(_Answer):
    """An event of the history; `ended` is null while it lasts. Its picture is at `/api/events/{number}/thumbnail`."""

    number: int
    source: str
    kind: str
    began: Time
    ended: Time | None
    evidence: Evidence
    has_thumbnail: bool


class SinkHealth(_Answer):
    """What became of the messages for one sink."""

    written: int
    dropped: int
    failed: int


class Health(_Answer):
    """How the dashboard itself is: who listens to the stream, and what slow listeners and sinks have lost."""

    listeners: int
    lost: Annotated[int, Field(description="Messages that slow listeners of the stream were not given")]
    sinks: dict[str, SinkHealth]


class Problem(_Answer):
    """Why there is no other answer."""

    detail: str

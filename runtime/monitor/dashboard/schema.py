"""The responses of the dashboard's API, as its OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dpiqa.runtime.monitor.history.archive import Part
from dpiqa.runtime.monitor.messages import SourceState
from dpiqa.runtime.reading import Band
from dpiqa.runtime.void import Void

Time = Annotated[float, Field(description="Unix seconds")]
Score = Annotated[float, Field(ge=0, le=100, description="0 (bad) to 100 (excellent)")]
Evidence = dict[str, float | str]
Gaps = list[float | None]


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class OpenEvent(_Response):
    """A current problem of a camera: `title` and `text` are what people read."""

    kind: str
    began: Time
    evidence: Evidence
    title: str
    text: str
    muted: bool
    acknowledged_by: str | None = None
    acknowledged: Time | None = None


class Camera(_Response):
    """The current state of a camera. `trouble` orders cameras: the more, the sooner somebody should look.

    `since` is when its state changed; fields of its latest reading are null before there is one, its score and what
    belongs to it also while the camera is down and once it has ended.
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
    asked_fps: float | None = None
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
    group: str = ""
    muted_until: Time | None = None
    muted_by: str | None = None


class Curve(_Response):
    """Scores over time: the mean, lowest and highest of each step that has any."""

    step_s: float
    times: list[Time]
    score: list[float]
    low: list[float]
    high: list[float]


class Details(_Response):
    """Baseline, signals and causes over time, of one frame in each step that has any."""

    times: list[Time]
    baseline: Gaps
    signals: dict[str, Gaps]
    causes: dict[str, Gaps]


class Past(_Response):
    """One camera over a period."""

    source: str
    since: Time
    until: Time
    curve: Curve
    details: Details
    first: Annotated[Time | None, Field(description="The first score since `since`")]


class PastEvent(_Response):
    """An event of the history; `ended` is null while it lasts. Its pictures are at `/api/events/{number}/{picture}`."""

    number: int
    source: str
    kind: str
    began: Time
    ended: Time | None
    evidence: Evidence
    title: str
    text: str
    muted: bool
    pictures: tuple[Part, ...]
    acknowledged_by: str | None
    acknowledged: Time | None


class PastAction(_Response):
    """What a person did."""

    source: str
    action: str
    by: str
    wall_time: Time
    kind: str | None
    until: Time | None


class SinkHealth(_Response):
    """The messages of one sink, by outcome."""

    written: int
    dropped: int
    failed: int


class Health(_Response):
    """The health of the dashboard: listeners of the stream, and messages lost by slow listeners and sinks."""

    listeners: int
    lost: Annotated[int, Field(description="Messages missed by slow listeners of the stream")]
    sinks: dict[str, SinkHealth]


class Problem(_Response):
    """Why a request failed."""

    detail: str

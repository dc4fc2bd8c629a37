"""The messages of a monitor (readings, events, source states, what people did), and the sinks that receive them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.monitor.evidence import describe
from dpiqa.runtime.reading import DECIMALS, SCORE_DECIMALS, Band, printable, rounded
from dpiqa.runtime.void import Void

SourceState = Literal["connecting", "up", "stalled", "down", "ended", "removed"]
PICTURES = ("thumbnail", "picture", "before")  # the fields of an event that are JPEGs
_SCORE_FIELDS = frozenset(("score", "baseline", "causes", "latency_ms"))


@dataclass(frozen=True)
class Signals:
    """Measurements of a frame's luma, made without a model.

    `brightness` is the mean luma, `clipped_low` and `clipped_high` the fractions of pixels at the ends of the range,
    `contrast` the range that holds most pixels, `noise` a standard deviation, all as a fraction (0 to 1) of full scale
    or of the pixels. `focus` and `blockiness` are 0 or more, without a unit: higher is sharper, higher is blockier.
    `difference` is the mean absolute difference in luma from the previous frame, 0 to 1, None for the first.
    """

    focus: float
    brightness: float
    clipped_low: float
    clipped_high: float
    contrast: float
    noise: float
    blockiness: float
    difference: float | None


@dataclass(frozen=True)
class LiveReading:
    """The quality of one frame of a monitored source.

    `wall_time` is when the frame arrived, Unix seconds; `pts_s` its presentation time in seconds, None where the source
    has none; `index` counts the frames of the source since the monitor started, including those not scored; `width` and
    `height` are in pixels; `score` is 0 to 100, higher is better; `causes` gives 0 to 1 for each cause that the model
    names. `latency_ms` has the stages `decode`, `wait` (for the engine), `preprocess`, `infer` and `signals`, and
    `total`, from the frame's arrival to this reading. `baseline` is the source's usual score, None while it is being
    learnt. `void` says that there is nothing to see (runtime/void.py): the score is 0 then, and there are no causes.
    """

    source: str
    wall_time: float
    pts_s: float | None
    index: int
    width: int
    height: int
    score: float
    band: Band
    causes: dict[str, float]
    signals: Signals
    latency_ms: dict[str, float]
    baseline: float | None = None
    void: Void | None = None


@dataclass(frozen=True)
class Event:
    """A problem with a source that began or ended; `kind` uses ONVIF's name where there is one.

    `began` and `ended` are Unix seconds, `ended` None while it lasts. `evidence` holds what was measured, and JSON has
    it in words as `text`. A `muted` one is recorded, but is no alarm: webhooks and MQTT do not get it. `thumbnail` is a
    JPEG of the frame, `picture` a large one, and `before` that of the last frame when all was well.
    """

    kind: str
    source: str
    state: Literal["raised", "cleared"]
    began: float
    ended: float | None
    evidence: dict[str, float | str]
    thumbnail: bytes | None = None
    picture: bytes | None = None
    before: bytes | None = None
    muted: bool = False


@dataclass(frozen=True)
class Status:
    """The state of a source: sent when it changes, and every few seconds.

    `reason` explains it, without credentials; `wall_time` is Unix seconds. `reconnects`, `dropped` (frames replaced by
    a newer one before they were scored) and `scored` count since the monitor started; `fps` is the number of frames
    scored per second since the last status, None in the first, and `asked_fps` how many there should be of a live
    source. `lost` is the number of messages that each sink lost, for sinks that lost any. A file that was read to its
    end is `ended`; the last status of a source that is no longer monitored is `removed`. A source is muted until
    `muted_until` (Unix seconds), by whom `muted_by` says: a person, or `maintenance`. `group` is that of its settings.
    """

    source: str
    state: SourceState
    reason: str
    wall_time: float
    reconnects: int
    dropped: int
    scored: int
    fps: float | None = None
    lost: dict[str, int] = field(default_factory=dict)
    asked_fps: float | None = None
    muted_until: float | None = None
    muted_by: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Action:
    """What a person did to a source, at `wall_time`, Unix seconds.

    `accept` its changed view, `acknowledge` its events (or only those of one `kind`), `mute` it `until` a time, or
    `unmute` it. `by` is the name that the person gave, or the way it came.
    """

    source: str
    action: Literal["accept", "acknowledge", "mute", "unmute"]
    by: str
    wall_time: float
    kind: str | None = None
    until: float | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A small picture of a scored frame: every second or so, and whenever a frame is the worst of its hour.

    `score`, `wall_time` and `void` are those of its reading; `jpeg` is the picture; `map` float32 `[h, w]`, 0 to 100,
    is the quality by place, None where the model gives no map.
    """

    source: str
    wall_time: float
    score: float
    jpeg: bytes
    map: NDArray[np.float32] | None = None
    void: Void | None = None


Message = LiveReading | Event | Status | Snapshot | Action
TEXT_MESSAGES: tuple[type, ...] = (LiveReading, Event, Status, Action)  # the messages that can be written as text


def to_json(message: Message) -> dict[str, Any]:
    """The message as a JSON object with `type`, `source`, `wall_time` and its fields, without pictures."""
    kinds = {LiveReading: "reading", Event: "event", Status: "status", Snapshot: "snapshot", Action: "action"}
    kind = kinds[type(message)]
    if isinstance(message, Snapshot):
        fields = {"wall_time": message.wall_time, "score": message.score, "has_map": message.map is not None}
        fields["void"] = message.void
    else:
        fields = asdict(message)
    if isinstance(message, Event):
        fields = {name: value for name, value in fields.items() if name not in PICTURES}
        fields["text"] = describe(message.kind, message.evidence)
        fields["wall_time"] = message.began if message.ended is None else message.ended
    head = {"type": kind, "source": printable(message.source), "wall_time": fields["wall_time"]}
    document = head | {name: value for name, value in fields.items() if name not in head}
    return {name: rounded(value, _decimals(name)) for name, value in document.items()}


def _decimals(field_name: str) -> int:
    return SCORE_DECIMALS if field_name in _SCORE_FIELDS else DECIMALS


class Sink(Protocol):
    """Receives messages."""

    @property
    def name(self) -> str:
        """Its name in metrics and logs."""
        ...

    @property
    def lost(self) -> int:
        """Number of messages lost so far."""
        ...

    def put(self, message: Message) -> None:
        """Queue a message; never blocks and never raises, counts what does not fit as dropped."""
        ...

    def close(self, timeout_s: float) -> None:
        """Write queued messages for at most `timeout_s` seconds, then release all resources."""
        ...


Act = Callable[[Action], None]  # does what a person wants


@dataclass(frozen=True)
class Counts:
    """Messages by outcome: written, `dropped` because the queue was full, or `failed` to be written."""

    written: int = 0
    dropped: int = 0
    failed: int = 0

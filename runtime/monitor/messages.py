"""What a monitor says (readings, events, states of its sources), and who is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dpiqa.runtime.reading import Band, printable
from dpiqa.runtime.void import Void

SourceState = Literal["connecting", "up", "stalled", "down", "removed"]
_DECIMALS = 6  # microseconds where it is a time, and far more than a score knows


@dataclass(frozen=True)
class Signals:
    """What can be measured of a frame without a model, on its luma.

    `brightness` is the mean luma, `clipped_low` and `clipped_high` the shares of pixels at the ends of the range,
    `contrast` the range that most pixels lie in, `noise` a standard deviation, all as a share (0 to 1) of full scale or
    of the pixels. `focus` and `blockiness` are 0 or more, without a unit: more is sharper, more is blockier.
    `difference` is the mean absolute difference in luma to the frame before, 0 to 1, None for the first.
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
    """The quality of one frame of a watched source.

    `wall_time` is when the frame arrived, Unix seconds; `pts_s` its presentation time in seconds, None where the source
    has none; `index` counts the frames of the source since the monitor began, those not scored too; `width` and
    `height` are its pixels; `score` is 0 to 100, higher is better; `causes` gives 0 to 1 for each cause that the model
    names. `latency_ms` has the stages `decode`, `wait` (for the engine), `preprocess`, `infer` and `signals`, and
    `total`, from the frame's arrival to this reading. `baseline` is the score that is normal for the source, None while
    that is being learnt. `void` says that there is nothing to see (see runtime/void.py): then the score is 0, and there
    are no causes.
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
    """Something wrong with a source (`kind`, named after ONVIF's where it has one) that began or ended.

    `began` and `ended` are Unix seconds, `ended` None while it lasts; `thumbnail` is a JPEG of the frame.
    """

    kind: str
    source: str
    state: Literal["raised", "cleared"]
    began: float
    ended: float | None
    evidence: dict[str, float | str]
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Status:
    """How a source is: sent when its state changes, and every few seconds.

    `reason` says why, in words without credentials; `wall_time` is Unix seconds. `reconnects`, `dropped` (frames that
    arrived and that a newer one replaced before it was scored) and `scored` count since the monitor began; `fps` is
    the rate at which frames were scored since the last status, None in the first. `lost` is how many messages each sink
    could not take, for those that lost any. A source that is no longer to be watched is `removed`, its last status.
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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """How a scored frame looks, for people: every second or so, and when no frame of the hour was as bad.

    `score` and `wall_time` are those of its reading; `jpeg` is a small picture of it; `map` float32 `[h, w]`, 0 to 100,
    tells where the quality is good or bad, None where the model does not say; `void` is that of its reading.
    """

    source: str
    wall_time: float
    score: float
    jpeg: bytes
    map: NDArray[np.float32] | None = None
    void: Void | None = None


Message = LiveReading | Event | Status | Snapshot
IN_WORDS: tuple[type, ...] = (LiveReading, Event, Status)  # the messages that make sense as text


def to_json(message: Message) -> dict[str, Any]:
    """The message as a JSON object with `type`, `source`, `wall_time` and its fields; pictures are left out."""
    kind = {LiveReading: "reading", Event: "event", Status: "status", Snapshot: "snapshot"}[type(message)]
    if isinstance(message, Snapshot):
        fields = {"wall_time": message.wall_time, "score": message.score, "has_map": message.map is not None}
        fields["void"] = message.void
    else:
        fields = asdict(message)
    if isinstance(message, Event):
        del fields["thumbnail"]
        fields["wall_time"] = message.began if message.ended is None else message.ended
    head = {"type": kind, "source": printable(message.source), "wall_time": fields["wall_time"]}
    return _rounded(head | {name: value for name, value in fields.items() if name not in head})


class Sink(Protocol):
    """Where messages go."""

    @property
    def name(self) -> str:
        """What it is called in metrics and logs."""
        ...

    @property
    def lost(self) -> int:
        """How many messages it could not take so far."""
        ...

    def put(self, message: Message) -> None:
        """Take a message; never blocks and never raises, what cannot be taken is counted as dropped."""
        ...

    def close(self, timeout_s: float) -> None:
        """Write out what was taken, for at most `timeout_s` seconds, and give everything back."""
        ...


class Alarms(Protocol):
    """What makes events of one source; it is called from one thread."""

    def on_reading(self, reading: LiveReading, frame_bgr: NDArray[Any]) -> list[Event]:
        """The events that a frame raises or clears."""
        ...

    def on_status(self, status: Status) -> list[Event]:
        """The events that the source's state raises or clears."""
        ...


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, _DECIMALS) if isinstance(value, float) else value


@dataclass(frozen=True)
class Counts:
    """What became of messages: written, `dropped` because the queue was full, `failed` while they were written."""

    written: int = 0
    dropped: int = 0
    failed: int = 0

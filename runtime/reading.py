"""What is known about one frame (a Reading) and about a whole video (a Summary)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

from dpiqa.runtime.void import Void

Band = Literal["bad", "poor", "fair", "good", "excellent"]
BANDS: tuple[tuple[float, Band], ...] = (
    (20, "bad"),
    (40, "poor"),
    (60, "fair"),
    (80, "good"),
    (100, "excellent"),
)

# JSON has scores, causes and latencies with more decimals than a model can justify, everything else (times, signals)
# with six.
SCORE_DECIMALS, DECIMALS = 3, 6


def rounded(value: Any, decimals: int = DECIMALS) -> Any:
    """`value` with every float in it, also inside dictionaries, rounded for JSON."""
    if isinstance(value, dict):
        return {name: rounded(item, decimals) for name, item in value.items()}
    return round(value, decimals) if isinstance(value, float) else value


Rounded = Annotated[float, PlainSerializer(lambda value: rounded(value, SCORE_DECIMALS), when_used="json")]
Seconds = Annotated[float, PlainSerializer(rounded, when_used="json")]


def printable(name: str) -> str:
    """A file's name as Unicode text: bytes in it that are not UTF-8 are shown escaped (`\\udcff`)."""
    return name.encode("utf-8", "backslashreplace").decode()


Source = Annotated[str, PlainSerializer(printable, when_used="json")]


def band(score: float) -> Band:
    """Name the fifth of the scale that a score from 0 to 100 lies in; a boundary belongs to the better band."""
    for end, name in BANDS:
        if score < end:
            return name
    return "excellent"


MIN_CAUSE = 0.25  # a weaker cause is what clean pictures have, too


def main_cause(causes: Mapping[str, float]) -> str | None:
    """The strongest of a reading's causes, None where none reaches MIN_CAUSE."""
    name, strength = max(causes.items(), key=lambda item: item[1], default=(None, 0.0))
    return name if strength >= MIN_CAUSE else None


class _Line(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    def to_json(self) -> str:
        """One JSON object on one line, the same in every output."""
        return self.model_dump_json()


class Reading(_Line):
    """The quality of one frame.

    `index` counts the frames of its source from 0, including those that sampling skipped (0 for a picture); `pts_s` is
    its presentation time in seconds (None for a picture); `score` is 0 to 100, higher is better; `void` says that there
    is nothing to see (`black`, `white` or `flat`, see runtime/void.py): then the score is 0, and there are no causes;
    `causes` gives 0 to 1 for each cause that the model names; `latency_ms` has `preprocess`, `infer`, `total`, and
    `decode` where it was read from a file.
    """

    type: Literal["reading"] = "reading"
    source: Source
    index: int = 0
    pts_s: Seconds | None = None
    score: Rounded
    band: Band
    void: Void | None = None
    causes: dict[str, Rounded] = {}
    latency_ms: dict[str, Rounded] = {}

    def _repr_html_(self) -> str:
        """What a notebook shows: the score, its band and the three strongest causes."""
        causes = sorted(self.causes.items(), key=lambda item: -item[1])[:3]
        rows = [
            f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{strength:.0%}</td></tr>" for name, strength in causes
        ]
        quality = f"{self.void}, nothing to see" if self.void else self.band
        caption = f"<caption><b>{self.score:.1f}</b> {quality}<br>{escape(printable(self.source))}</caption>"
        return f"<table>{caption}{''.join(rows)}</table>"


class WorstSecond(_Line):
    """The second of a video with the lowest mean score, and when it starts."""

    pts_s: Seconds
    mean: Rounded


class Summary(_Line):
    """The pooled quality of a video: all scores are 0 to 100, `p5` is the 5th percentile of the frames' scores.

    `void_frames` of the `frames` show nothing, see Reading; they count with a score of 0.
    """

    type: Literal["summary"] = "summary"
    source: Source
    frames: int
    duration_s: Seconds
    mean: Rounded
    band: Band
    p5: Rounded
    harmonic_mean: Rounded
    worst_second: WorstSecond
    min: Rounded
    void_frames: int = 0

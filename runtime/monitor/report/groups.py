"""Groups events that come and go, and says in words what a period was like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dpiqa.runtime.monitor.evidence import words
from dpiqa.runtime.monitor.history.archive import PastEvent
from dpiqa.runtime.monitor.history.report_metrics import CameraMetrics, ReportMetrics

_FLAP_S, _FEWEST = 300.0, 3
_MOST_NAMED = 3


@dataclass(frozen=True)
class EventGroup:
    """One event, or several of a kind and camera that came soon after one another; the oldest first."""

    events: tuple[PastEvent, ...]

    @property
    def first(self) -> PastEvent:
        """The oldest."""
        return self.events[0]

    @property
    def ended(self) -> float | None:
        """The end of the last, Unix seconds, None while it lasts."""
        return self.events[-1].ended


def grouped(events: Sequence[PastEvent]) -> list[EventGroup]:
    """Groups of three or more that are at most five minutes apart, and the other events one by one; newest first."""
    runs: list[list[PastEvent]] = []
    latest: dict[tuple[str, str], list[PastEvent]] = {}
    for event in sorted(events, key=lambda event: event.began):
        run = latest.get((event.source, event.kind))
        if run is not None and run[-1].ended is not None and event.began - run[-1].ended <= _FLAP_S:
            run.append(event)
        else:
            latest[event.source, event.kind] = run = [event]
            runs.append(run)
    groups = [
        EventGroup(tuple(part)) for run in runs for part in ([run] if len(run) >= _FEWEST else [[one] for one in run])
    ]
    return sorted(groups, key=lambda group: -group.first.began)


def summary(metrics: ReportMetrics, duration: dict[str, float]) -> Iterator[str]:
    """Sentences on a period; `duration` has the seconds of each kind of event."""
    scored = [camera for camera in metrics.cameras if camera.mean is not None]
    if scored:
        best, worst = (pick(scored, key=_mean) for pick in (max, min))
        if len(scored) == 1:
            yield f"The mean score is {_mean(worst):.0f}, the lowest {worst.lowest:.0f}."
        else:
            extremes = f"from {_mean(worst):.0f} ({worst.source}) to {_mean(best):.0f} ({best.source})"
            yield f"The mean scores of {len(scored)} cameras reach {extremes}."
    lost = sorted(
        (camera for camera in metrics.cameras if camera.up is not None and camera.up < 0.9995),
        key=lambda camera: camera.up or 0.0,
    )
    if lost:
        names = ", ".join(f"{camera.source} ({100 * (camera.up or 0.0):.1f} %)" for camera in lost[:_MOST_NAMED])
        more = f" and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        yield f"Not always up: {names}{more}."
    elif any(camera.up is not None for camera in metrics.cameras):
        yield "Every camera was up whenever it was monitored."
    if duration:
        kind = max(duration, key=lambda name: duration[name])
        count = sum(event.kind == kind for event in metrics.events)
        sources = sorted({event.source for event in metrics.events if event.kind == kind})
        where = sources[0] if len(sources) == 1 else f"{len(sources)} cameras"
        times = "once" if count == 1 else f"{count} times"
        yield f"What lasted longest is {words(kind)}: {times}, on {where}."
    muted = sum(event.muted for event in metrics.events)
    if muted:
        yield f"{muted} of {len(metrics.events)} events {'was' if muted == 1 else 'were'} muted."
    last = [event for event in metrics.events if event.ended is None]
    if last:
        names = ", ".join(sorted({f"{words(event.kind)} on {event.source}" for event in last})[:_MOST_NAMED])
        yield f"Still going on at the end: {names}{', and more' if len(last) > _MOST_NAMED else ''}."


def _mean(camera: CameraMetrics) -> float:
    return camera.mean or 0.0

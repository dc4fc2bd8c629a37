"""Do alarms tell the truth? Plays clips of fixed cameras and compares the events with those that are right.

usage: alarms.py FOLDER [--clips NAME...] [--models NAME...] [--rates FPS...] [--scores FOLDER] [--out FILE.md]

FOLDER holds what `alarm_clips.py` makes. Scores are kept in the folder, so that a second run takes seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measured_on import measured_on

from dpiqa import Scorer
from dpiqa.runtime.models import find_model
from dpiqa.runtime.monitor.alarms.source_alarms import SourceAlarms
from dpiqa.runtime.monitor.messages import LiveReading
from dpiqa.runtime.monitor.settings.alarms import AlarmSettings
from dpiqa.runtime.monitor.signals import open_meter
from dpiqa.runtime.reading import band
from dpiqa.runtime.video import read_video
from dpiqa.runtime.void import Void

_HEADING = "## How true they are"
_LATER_S = 2.5  # hold and release times, and the time between two frames


class Stretch(NamedTuple):
    """An event as a viewer of the clip would report it; `ended_s` is None where it lasts to the end."""

    kind: str
    raised_s: float
    ended_s: float | None
    evidence: dict[str, float | str]


class Wanted(NamedTuple):
    """What a clip must raise: kinds, when at the latest, and until when; and which else may be raised, and when."""

    kind: str
    first_s: float
    raised_by_s: float
    ends_s: tuple[float, float] | None  # None: lasts to the end


def _names_contrast(stretch: Stretch) -> bool:
    return stretch.kind == "LowContrast" or stretch.evidence.get("likely_cause") == "contrast"


def _is_allowed(clip: str, stretch: Stretch) -> bool:
    """Whether an event that is not asked for is no false alarm either."""
    if clip == "headlights":  # may be raised by the glare, must not outlast it
        is_glare = stretch.raised_s > 30 and stretch.raised_s % 20 < 3
        return is_glare and stretch.ended_s is not None and stretch.ended_s % 20 <= 3 + _LATER_S
    return clip == "fog" and stretch.raised_s > 60  # worse and worse: more may be said


WANTED: dict[str, list[Wanted]] = {
    "still": [],
    "lights": [Wanted("ImageTooDark", 60, 62, (100, 103)), Wanted("QualityDrop", 60, 62, (100, 103))],
    "turned": [Wanted("GlobalSceneChange", 60, 68, None)],
    "trucks": [],
    "headlights": [],
    "noise_at_start": [],
    "frozen_with_clock": [Wanted("Frozen", 62, 82, (180, 185))],
    "programme": [],
    "fog": [Wanted("contrast", 60, 100, None)],
}
SETTINGS = {"programme": AlarmSettings.model_validate({"profile": "broadcast"})}


def scores_of(clip: Path, model: str, folder: Path) -> dict[int, tuple[float, Void | None, dict[str, float]]]:
    """Score, void and causes of every frame by its number, from the folder where they are kept."""
    file = folder / f"{clip.stem}-{model}.json"
    if not file.exists():
        readings = Scorer(find_model(model), threads=1).stream(clip)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([(one.index, one.pts_s, one.score, one.void, one.causes) for one in readings]))
    return {index: (score, void, causes) for index, _, score, void, causes in json.loads(file.read_text())}


def readings_of(clip: Path, model: str, fps: float, folder: Path) -> Iterator[tuple[LiveReading, np.ndarray]]:
    """The readings of a clip, with their frames."""
    scores, meter = scores_of(clip, model, folder), open_meter()
    for frame in read_video(str(clip), fps):
        score, void, causes = scores[frame.index]
        height, width = frame.pixels.shape[:2]
        signals = meter.measure(frame.pixels)
        yield (
            LiveReading(
                clip.stem, frame.pts_s or 0.0, frame.pts_s, frame.index, width, height,
                score, band(score), causes, signals, {}, None, void,
            ),
            frame.pixels,
        )  # fmt: skip


def play(clip: Path, model: str, fps: float, folder: Path) -> tuple[list[Stretch], float, float | None]:
    """The events of a clip, its length in seconds, and the baseline at its end."""
    alarms = SourceAlarms(SETTINGS.get(clip.stem))
    stretches: list[Stretch] = []
    at_s = 0.0
    for reading, pixels in readings_of(clip, model, fps, folder):
        at_s = reading.pts_s or 0.0
        for event in alarms.on_reading(reading, pixels):
            if event.state == "raised":
                stretches.append(Stretch(event.kind, at_s, None, event.evidence))
            else:
                place = max(i for i, one in enumerate(stretches) if one.kind == event.kind)
                stretches[place] = stretches[place]._replace(ended_s=at_s)
    return stretches, at_s + 1 / fps, alarms.baseline


def verdict(clip: str, stretches: Sequence[Stretch], baseline: float | None) -> tuple[bool, int, float | None, str]:
    """Whether the clip is right, how many false alarms it raised, the longest delay, and what is wrong."""
    rest, wrong, delays = list(stretches), [], []
    for want in WANTED[clip]:
        matches: Callable[[Stretch], bool] = (
            _names_contrast if want.kind == "contrast" else lambda one, kind=want.kind: one.kind == kind
        )
        hit = next((one for one in rest if matches(one) and one.raised_s >= want.first_s), None)
        if hit is None:
            wrong.append(f"{want.kind}: never")
            continue
        rest.remove(hit)
        delays.append(hit.raised_s - want.first_s)
        if hit.raised_s > want.raised_by_s:
            wrong.append(f"{want.kind}: late, {hit.raised_s:g} s")
        if (hit.ended_s is None) != (want.ends_s is None):
            wrong.append(f"{want.kind}: ended {hit.ended_s}")
        elif want.ends_s and hit.ended_s and not want.ends_s[0] <= hit.ended_s <= want.ends_s[1]:
            wrong.append(f"{want.kind}: ended at {hit.ended_s:g} s")
    false = [one for one in rest if not _is_allowed(clip, one)]
    wrong += [f"{one.kind} at {one.raised_s:g} to {one.ended_s} s" for one in false]
    if clip == "noise_at_start" and (baseline or 0) <= 60:
        wrong.append(f"baseline {baseline}")
    return not wrong, len(false), max(delays, default=None), "; ".join(wrong)


def _row(clips: Path, name: str, model: str, fps: float, scores: Path) -> str:
    stretches, length_s, baseline = play(clips / f"{name}.mp4", model, fps, scores)
    is_right, false, delay_s, wrong = verdict(name, stretches, baseline)
    events = [
        f"{one.kind} {one.raised_s:g} s to {'the end' if one.ended_s is None else f'{one.ended_s:g} s'}"
        for one in stretches
    ]
    cells = [
        *(name, model, f"{fps:g}", "yes" if is_right else f"no: {wrong}", f"{false * 3600 / length_s:.0f}"),
        *("" if delay_s is None else f"{delay_s:g}", ", ".join(events)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, or write it into a document under its heading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", nargs="+", default=list(WANTED))
    parser.add_argument("--models", nargs="+", default=["dpiqa-lite0-int8", "dpiqa-lite2-int8"])
    parser.add_argument("--rates", nargs="+", type=float, default=[2.0, 1.0])
    parser.add_argument("--scores", type=Path, default=Path("alarm_scores"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = ["| clip | model | scores/s | right | false alarms an hour | delay, s | events |", f"{'|---' * 7}|"]
    for name in options.clips:
        for model in options.models:
            for fps in options.rates:
                lines.append(_row(options.folder, name, model, fps, options.scores))
                print(lines[-1], flush=True)
    if options.out:
        text = options.out.read_text() if options.out.exists() else ""
        where = f"By `benchmarks/alarms.py`, {measured_on('openvino')}."
        options.out.write_text("\n".join([text.partition(_HEADING)[0] + _HEADING, "", where, "", *lines]) + "\n")


if __name__ == "__main__":
    main()

"""A report's figures as one HTML file with its pictures, styles and charts inside."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.monitor.charts import chart_file
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.period import told
from dpiqa.runtime.monitor.history.statistics import Figures
from dpiqa.runtime.reading import BANDS, band

_PICTURED = 60  # events with their pictures


def write_report(found: Figures, archive: Archive, out: Path) -> None:
    """Write the page. Raises InputError if the file cannot be written."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"told": told, "to_the_second": _to_the_second, "band": band}
    environment.filters |= {"share": _share, "lasted": _lasted, "picture": _picture}
    page = environment.get_template("report.html.j2").render(
        found=found,
        kinds=_kinds(found),
        bands=[name for _, name in BANDS],
        pictures={event.number: archive.thumbnail(event.number) for event in found.events[:_PICTURED]},
        chart_script=chart_file("uPlot.iife.js").read_text("utf-8"),
        chart_style=chart_file("uPlot.min.css").read_text("utf-8"),
        made=f"{datetime.now():%Y-%m-%d %H:%M}",
        curves=[_curve(camera, found) for camera in found.cameras],
    )
    with atomic_write(out) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


def _kinds(found: Figures) -> list[dict[str, Any]]:
    lasted: dict[str, list[float]] = {}
    sources: dict[str, set[str]] = {}
    for event in found.events:
        end = found.until if event.ended is None else min(event.ended, found.until)
        lasted.setdefault(event.kind, []).append(end - max(event.began, found.since))
        sources.setdefault(event.kind, set()).add(event.source)
    kinds = [
        {
            "name": kind,
            "count": len(times),
            "lasted_s": sum(times),
            "longest_s": max(times),
            "sources": sorted(sources[kind]),
        }
        for kind, times in lasted.items()
    ]
    return sorted(kinds, key=lambda kind: -kind["lasted_s"])


def _curve(camera: Any, found: Figures) -> dict[str, Any]:
    curve = camera.curve
    marks = [(event.began, event.ended) for event in found.events if event.source == camera.source]
    return {"rows": [curve.times, curve.score, curve.low, curve.high], "step": curve.step_s, "events": marks}


def _to_the_second(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if 0.0005 < value < 0.9995 else f"{100 * value:.0f} %"


def _lasted(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _picture(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"

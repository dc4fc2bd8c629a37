"""Renders a report's metrics as one HTML file that contains its pictures, styles and charts."""

from __future__ import annotations

import base64
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.monitor.charts import CURVES, chart_file
from dpiqa.runtime.monitor.evidence import duration, words
from dpiqa.runtime.monitor.history.archive import Archive
from dpiqa.runtime.monitor.history.period import format_time
from dpiqa.runtime.monitor.history.report_metrics import CameraMetrics, ReportMetrics
from dpiqa.runtime.monitor.report.groups import grouped, summary
from dpiqa.runtime.reading import BANDS, band

_SHORT_S = 2 * 3600.0  # up to this length, seconds matter
_MAX_PICTURES = 60  # events shown with their picture


def write_report(metrics: ReportMetrics, archive: Archive, out: Path) -> None:
    """Write the page. Raises InputError if the file cannot be written."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    zone, is_short = metrics.zone, metrics.until - metrics.since < _SHORT_S
    exact = partial(_exact_time, zone=zone)
    environment.filters |= {"time": exact if is_short else partial(format_time, zone=zone), "exact_time": exact}
    environment.filters |= {"band": band, "words": words}
    environment.filters |= {"percent": _percent, "duration": duration, "data_url": _data_url}
    kinds, groups = _kinds(metrics), grouped(metrics.events)
    page = environment.get_template("report.html.j2").render(
        metrics=metrics,
        kinds=kinds,
        groups=groups,
        summary=list(summary(metrics, {kind["name"]: kind["total_s"] for kind in kinds})),
        zone=zone.key if zone else None,
        bands=[name for _, name in BANDS],
        pictures={group.first.number: archive.picture(group.first.number) for group in groups[:_MAX_PICTURES]},
        chart_script=chart_file("uPlot.iife.js").read_text("utf-8"),
        chart_style=chart_file("uPlot.min.css").read_text("utf-8"),
        curves_script=CURVES.read_text("utf-8"),
        created=f"{datetime.now(zone):%Y-%m-%d %H:%M}",
        curves=[_curve(camera, metrics) for camera in metrics.cameras],
    )
    with atomic_write(out) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


def _kinds(metrics: ReportMetrics) -> list[dict[str, Any]]:
    durations: dict[str, list[float]] = {}
    sources: dict[str, set[str]] = {}
    for event in metrics.events:
        end = metrics.until if event.ended is None else min(event.ended, metrics.until)
        durations.setdefault(event.kind, []).append(end - max(event.began, metrics.since))
        sources.setdefault(event.kind, set()).add(event.source)
    kinds = [
        {
            "name": kind,
            "count": len(seconds),
            "total_s": sum(seconds),
            "longest_s": max(seconds),
            "sources": sorted(sources[kind]),
        }
        for kind, seconds in durations.items()
    ]
    return sorted(kinds, key=lambda kind: -kind["total_s"])


def _curve(camera: CameraMetrics, metrics: ReportMetrics) -> dict[str, Any]:
    curve = camera.curve
    events = [{"began": event.began, "ended": event.ended} for event in metrics.events if event.source == camera.source]
    return {"rows": [curve.times, curve.score, curve.low, curve.high], "step": curve.step_s, "events": events}


def _exact_time(seconds: float, zone: ZoneInfo | None = None) -> str:
    return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M:%S}"


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if 0.0005 < value < 0.9995 else f"{100 * value:.0f} %"


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"

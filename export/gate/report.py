"""The report on an export: for people one HTML file with its pictures inside, for programs JSON beside it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpiqa.export.gate.comparison import Comparison
from dpiqa.export.gate.options import Budget
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.reading import printable

_NAMED, _BARS = 10, 25
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left}"
    "td:first-child,td:last-child{overflow-wrap:anywhere}pre{white-space:pre-wrap}"
    ".broken{color:#b00;font-weight:bold}"
)

Layer = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Report:
    """All that is known of one export; what is None is left out.

    `facts`: what the file is, in a few words each. `refusal`: the reason not to write it, whatever the comparison says.
    `sensitivity`: mean drift in points for each layer when it alone is quantized. `layers`: one mapping per layer, all
    with the same keys. `manifest`: what the file is and how it was built, as in the JSON.
    """

    title: str
    comparison: Comparison | None = None
    sensitivity: Mapping[str, float] | None = None
    manifest: Mapping[str, Any] | None = None
    layers: Sequence[Layer] | None = None
    budget: Budget | None = None
    facts: Mapping[str, str] | None = None
    refusal: str | None = None


def write_report(report: Report, path: Path) -> None:
    """Write `path` as HTML and, with the suffix `.json`, the same metrics with the scores of every picture."""
    with atomic_write(path.with_suffix(".json")) as data, atomic_write(path) as page:
        data.write(json.dumps(_document(report), indent=1).encode() + b"\n")
        page.write(_page(report).encode("utf-8", "backslashreplace"))


def _document(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = {"title": report.title}
    if report.comparison is not None:
        document["comparison"] = _metrics(report.comparison)
    if report.budget is not None:
        document["budget"] = asdict(report.budget)
    if report.refusal is not None:
        document["refusal"] = report.refusal
    for name in ("facts", "sensitivity", "manifest"):
        if (value := getattr(report, name)) is not None:
            document[name] = dict(value)
    if report.layers is not None:
        document["layers"] = [dict(layer) for layer in report.layers]
    return document


def _metrics(comparison: Comparison) -> dict[str, Any]:
    rows = comparison.worst(len(comparison.names))
    parts: dict[str, tuple[str, Mapping[Any, tuple[int, float, float]]]] = {"by_band": ("band", comparison.by_band())}
    if comparison.shapes:
        parts["by_shape"] = ("shape", comparison.by_shape())
    drifts = {
        part: [
            {kind: name, "pictures": count, "mean": mean, "largest": largest}
            for name, (count, mean, largest) in drift.items()
        ]
        for part, (kind, drift) in parts.items()
    }
    return (
        comparison.metrics()
        | drifts
        | {
            "scores": [{"picture": printable(name), "reference": old, "candidate": new} for name, old, new in rows],
        }
    )


def _page(report: Report) -> str:
    parts = [f"<h1>{escape(report.title)}</h1>"]
    if report.facts:
        parts.append(_table((), report.facts.items()))
    if report.refusal:
        parts.append(f"<p class=broken>Not written: {escape(report.refusal)}</p>")
    if (comparison := report.comparison) is not None:
        parts += [_verdict(comparison, report.budget), _image(_plots(comparison))]
        parts += ["<h2>Drift by band of the reference</h2>", _drifts("band", comparison.by_band())]
        if comparison.shapes:
            parts += ["<h2>Drift by shape</h2>", _drifts("shape", comparison.by_shape())]
        parts.append("<h2>The worst pictures</h2>")
        worst = [(name, f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}") for name, a, b in comparison.worst(_NAMED)]
        parts.append(_table(("picture", "reference", "candidate", "drift"), worst))
    if report.sensitivity:
        parts += ["<h2>Sensitivity</h2><p>Mean drift in points with one layer alone quantized.</p>"]
        parts.append(_image(_bars(dict(list(report.sensitivity.items())[:_BARS]))))
    if report.manifest is not None:
        text = escape(json.dumps(dict(report.manifest), indent=2, ensure_ascii=False))
        parts += [f"<h2>Manifest</h2><pre>{text}</pre>"]
    if report.layers:
        heads = list(report.layers[0])
        parts += ["<h2>Layers</h2>", _table(heads, ([layer.get(head) for head in heads] for layer in report.layers))]
    body = "\n".join(parts)
    head = f"<meta charset=utf-8><title>{escape(report.title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>\n{body}\n</body></html>\n"


def _drifts(kind: str, drifts: Mapping[Any, tuple[int, float, float]]) -> str:
    rows = [(name, count, f"{mean:.2f}", f"{largest:.2f}") for name, (count, mean, largest) in drifts.items()]
    return _table((kind, "pictures", "mean drift", "largest"), rows)


def _verdict(comparison: Comparison, budget: Budget | None) -> str:
    against = "the reference's scores" if comparison.mos is None else "MOS"
    drop, mean, largest = comparison.srcc_drop, comparison.mean_drift, comparison.largest_drift
    metrics = [
        ("SRCC with the reference", f"{comparison.srcc:.4f}", None),
        ("PLCC with the reference", f"{comparison.plcc:.4f}", None),
        (f"SRCC drop against {against}", f"{drop:.4f}", budget and (drop, budget.srcc_drop)),
        ("mean drift, points", f"{mean:.2f}", budget and (mean, budget.mean_drift)),
        ("largest drift, points", f"{largest:.2f}", budget and (largest, budget.drift)),
        ("reference, ms/picture", f"{comparison.reference_latency_ms:.1f}", None),
        (f"candidate ({comparison.engine}), ms/picture", f"{comparison.candidate_latency_ms:.1f}", None),
    ]
    if comparison.cause_agreement is not None:
        metrics.append(("pictures with the same strongest cause", f"{comparison.cause_agreement:.1%}", None))
    if comparison.map_drift is not None:
        metrics.append(("mean drift of the map, points", f"{comparison.map_drift:.2f}", None))
    rows = [(name, text, "" if not pair else f"at most {pair[1]:g}: {'kept' if pair[0] <= pair[1] else 'BROKEN'}")
            for name, text, pair in metrics]  # fmt: skip
    table = _table(("", "measured", "budget"), rows).replace("BROKEN", "<span class=broken>broken</span>")
    return f"<p>{len(comparison.names)} pictures, scored one by one.</p>{table}"


def _plots(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(12, 4), layout="constrained")
    scatter, histogram, latency = figure.subplots(1, 3)
    scatter.scatter(comparison.reference, comparison.candidate, s=8, alpha=0.5, linewidths=0)
    scatter.plot((0, 100), (0, 100), color="grey", linewidth=0.8)
    scatter.set(xlabel="reference", ylabel="candidate", xlim=(0, 100), ylim=(0, 100), title="scores", aspect="equal")
    histogram.hist(comparison.drift, bins=40)
    histogram.set(xlabel="drift, points", ylabel="pictures", title="candidate minus reference")
    milliseconds = {"reference": comparison.reference_latency_ms, "candidate": comparison.candidate_latency_ms}
    _barh(latency, milliseconds)
    latency.set(xlabel="ms/picture, median", title="latency")
    return figure


def _bars(values: Mapping[str, float]) -> Figure:
    figure = Figure(figsize=(8, 1 + 0.22 * len(values)), layout="constrained")
    axes = figure.subplots()
    _barh(axes, values)
    axes.set(xlabel="mean drift, points")
    return figure


def _barh(axes: Axes, values: Mapping[str, float]) -> None:
    axes.barh(np.arange(len(values)), list(values.values()), tick_label=list(values))
    axes.invert_yaxis()


def _image(figure: Figure) -> str:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    return f'<p><img alt="" src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"></p>'


def _table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    def row(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + (row(heads, "th") if heads else "") + "".join(row(cells, "td") for cells in rows) + "</table>"

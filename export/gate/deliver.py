"""The end of every export: always the report, and the model only when it keeps its budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dpiqa.errors import GateError
from dpiqa.export.gate.comparison import gate
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.gate.report import Report, write_report
from dpiqa.export.graphs.model import Model


def deliver(model: Model, out: Path, report: Report, page: Path | None = None, notify: Notify = ignore) -> Model:
    """Write the report (to `page`, by default beside `out`), and the model to `out` if it keeps the budget.

    The report must hold a comparison and its budget; its title is completed with the file's name. Returns the model as
    written. Raises GateError, and writes no model, when the budget is broken or the report has a refusal.
    """
    assert report.comparison is not None
    assert report.budget is not None
    comparison, budget = report.comparison, report.budget
    page = page or out.with_suffix(".html")
    report = replace(report, title=f"{out.name}: {report.title}")
    write_report(report, page)
    notify(f"{report.title} {report.comparison}; {page}")
    try:
        if report.refusal:
            raise GateError(report.refusal)
        gate(comparison, budget)
    except GateError as error:
        raise GateError(f"{out}: not written, {error}") from None
    model = model.save(out)
    notify(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    return model

"""The end of every export: the report always, the model only when it keeps its budget."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer

from dpiqa.errors import GateError
from dpiqa.export.gate.comparison import gate
from dpiqa.export.gate.report import Report, write_report
from dpiqa.runtime.files import atomic_write


def deliver(candidate: Path, out: Path, report: Report, page: Path | None = None) -> None:
    """Write the report (to `page`, by default beside `out`), and the candidate to `out` if it keeps the budget.

    The report must hold a comparison and its budget. Raises GateError, and writes no model, when that is broken or the
    report has a refusal.
    """
    assert report.comparison is not None
    assert report.budget is not None
    page = page or out.with_suffix(".html")
    write_report(report, page)
    typer.echo(f"{report.title} {report.comparison}; {page}")
    try:
        if report.refusal:
            raise GateError(report.refusal)
        gate(report.comparison, report.budget)
    except GateError as error:
        raise GateError(f"{out}: not written, {error}") from None
    with candidate.open("rb") as whole, atomic_write(out) as file:
        shutil.copyfileobj(whole, file)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")

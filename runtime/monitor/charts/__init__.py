"""The scripts and styles that draw charts, for the dashboard and the report."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dpiqa.errors import ToolError

CURVES = Path(__file__).with_name("curves.js")  # what the charts of both share


def chart_file(name: str) -> Path:
    """A file of the chart library, uPlot, in its package. Raises ToolError if that is not installed."""
    spec = find_spec("uplot")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "static" / name).is_file():
            return path
    raise ToolError("charts need the package 'uplot-python', install it with: pip install '.[monitor]'")

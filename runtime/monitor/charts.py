"""The library that draws charts, for the dashboard and the report."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dpiqa.errors import ToolError


def chart_file(name: str) -> Path:
    """A file of the charts' library, uPlot, as its package holds it. Raises ToolError where that is not installed."""
    spec = find_spec("uplot")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(place) / "static" / name).is_file():
            return path
    raise ToolError("the dashboard needs the package 'uplot-python', pip install '.[monitor]' brings it")

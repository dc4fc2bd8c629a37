"""Live monitoring: sources, signals, alarms and sinks around one engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dpiqa.errors import ToolError

_EXTRA = ("av", "yaml", "prometheus_client", "paho", "httpx", "tenacity", "fastapi", "starlette", "uvicorn", "jinja2")


@contextmanager
def needs_extra() -> Iterator[None]:
    """Raise ToolError if a package of the extra `monitor` is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        advice = "install it with: pip install '.[monitor]'"
        raise ToolError(f"monitoring needs the package '{error.name}', {advice}") from None

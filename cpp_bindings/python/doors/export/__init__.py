"""`python -m export.NAME` runs `dpiqa.export.NAME`."""

from dpiqa import export

__path__ = export.__path__

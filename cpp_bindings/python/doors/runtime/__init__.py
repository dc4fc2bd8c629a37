"""`python -m runtime.NAME` runs `dpiqa.runtime.NAME`."""

from dpiqa import runtime

__path__ = runtime.__path__

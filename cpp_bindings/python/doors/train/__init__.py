"""`python -m train.NAME` runs `dpiqa.train.NAME`."""

from dpiqa import train

__path__ = train.__path__

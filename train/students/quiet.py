"""Silence for libraries that log and warn of their own internals."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def modelopt_silenced() -> Iterator[None]:
    """Discard what modelopt and its dependencies print, log below errors, or warn of; also while they are imported."""
    for name in ("modelopt", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("modelopt").setLevel(logging.ERROR)  # its import sets the level anew

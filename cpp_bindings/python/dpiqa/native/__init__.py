"""The native core: scores frames as cameras give them. `dpiqa.Scorer`, above it, reads files and videos."""

from dpiqa.native._core import Meter, Model, Result, Signals, __version__, check_engine, check_weights, preprocess

__all__ = ["Meter", "Model", "Result", "Signals", "__version__", "check_engine", "check_weights", "preprocess"]

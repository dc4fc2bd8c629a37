"""Blind image and video quality: `Scorer("model.onnx").score("photo.jpg").score`, 0 (bad) to 100 (excellent).

The floors below are `dpiqa.native` (the bare core), `dpiqa.runtime`, `dpiqa.train` and `dpiqa.export`.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpiqa.errors import ContractError, DpiqaError, EngineError, InputError
    from dpiqa.runtime.reading import Reading, Summary
    from dpiqa.runtime.scorer import Explanation, Scorer

    __version__: str

__all__ = ["ContractError", "DpiqaError", "EngineError", "Explanation", "InputError", "Reading", "Scorer", "Summary"]

_MODULES = {name: "dpiqa.errors" for name in __all__ if name.endswith("Error")}
_MODULES |= dict.fromkeys(("Reading", "Summary"), "dpiqa.runtime.reading")
_MODULES |= dict.fromkeys(("Explanation", "Scorer"), "dpiqa.runtime.scorer")

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Importing a floor, or asking a command for help, must not wait for an engine to load.
    if name == "__version__":
        return import_module("importlib.metadata").version("dpiqa-edge")
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Scores pictures and video with one model file.

from runtime import Scorer
scorer = Scorer()
print(scorer.score("photo.jpg").score)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reading import Reading, Summary
    from .scorer import Scorer

__all__ = ["Reading", "Scorer", "Summary"]

_HOMES = {"Reading": ".reading", "Summary": ".reading", "Scorer": ".scorer"}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Training and export import parts of this package; they, and `dpiqa --help`, need not wait for an engine to load.
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name], __name__), name)

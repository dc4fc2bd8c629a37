"""Where the model files that come with the installation lie."""

from __future__ import annotations

import os
from pathlib import Path

from dpiqa.errors import EngineError

DEFAULT_MODEL = "dpiqa-lite0"
INT8_MODEL = f"{DEFAULT_MODEL}-int8"
_FOLDER = Path(__file__).resolve().parents[1] / "models"  # beside `runtime`, in a clone and where pip installed it


def shipped_model(name: str = DEFAULT_MODEL) -> Path:
    """The path of a shipped model, such as `dpiqa-lite0` or `dpiqa-lite0-int8`.

    Raises EngineError when this installation has no such model.
    """
    path = _FOLDER / f"{name}.onnx"
    if path.is_file():
        return path
    known = ", ".join(path.stem for path in shipped_models()) or "none"
    raise EngineError(f"this installation ships no model '{name}' (shipped: {known}), name a model file instead")


def cache_folder() -> Path | None:
    """Where compiled models are kept: `dpiqa` in the user's cache, or DPIQA_CACHE; None where that is empty."""
    chosen = os.environ.get("DPIQA_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base) / "dpiqa" if base else Path.home() / ".cache" / "dpiqa"
    except RuntimeError:  # no home
        return None


def find_model(model: str | Path) -> Path:
    """The model file at a path or, for a bare name such as `dpiqa-lite0-int8`, the shipped one of that name.

    Raises EngineError where there is none.
    """
    path = Path(model)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise EngineError(f"{path}: no such model file")
    return shipped_model(path.name)


def shipped_models() -> list[Path]:
    """The paths of all models of this installation, the default one first; empty where it ships none."""
    return sorted(_FOLDER.glob("*.onnx"), key=lambda path: (path.stem != DEFAULT_MODEL, path.stem))

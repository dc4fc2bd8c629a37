"""Where the model files that come with the installation lie."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from .errors import EngineError

DEFAULT_MODEL = "dpiqa-lite0"


def shipped_model(name: str = DEFAULT_MODEL) -> Path:
    """The path of a shipped model, such as `dpiqa-lite0` or `dpiqa-lite0-int8`.

    Raises EngineError when this installation has no such model.
    """
    for folder in _folders():
        path = folder / f"{name}.onnx"
        if path.is_file():
            return path
    raise EngineError(f"this installation ships no model '{name}', name a model file with --model FILE or model=FILE")


def _folders() -> list[Path]:
    """The installed package data first, then a clone that is used where it lies."""
    found = [Path(__file__).resolve().parent.parent / "models"]
    try:
        with as_file(files("dpiqa_models")) as folder:
            found.insert(0, folder)
    except (ModuleNotFoundError, OSError):
        pass
    return found

"""Where the model files that come with the installation lie."""

from __future__ import annotations

from pathlib import Path

from .errors import EngineError

DEFAULT_MODEL = "dpiqa-lite0"
INT8_MODEL = f"{DEFAULT_MODEL}-int8"
# Beside this package: `models` in a clone, `dpiqa_models` where pip installed it (see pyproject.toml).
_FOLDERS = [Path(__file__).resolve().parents[1] / name for name in ("dpiqa_models", "models")]


def shipped_model(name: str = DEFAULT_MODEL) -> Path:
    """The path of a shipped model, such as `dpiqa-lite0` or `dpiqa-lite0-int8`.

    Raises EngineError when this installation has no such model.
    """
    for folder in _FOLDERS:
        path = folder / f"{name}.onnx"
        if path.is_file():
            return path
    raise EngineError(f"this installation ships no model '{name}', name a model file with --model FILE or model=FILE")


def shipped_models() -> list[Path]:
    """The paths of all models of this installation, the default one first; empty where it ships none."""
    folder = next((folder for folder in _FOLDERS if any(folder.glob("*.onnx"))), None)
    return sorted(folder.glob("*.onnx"), key=lambda path: (path.stem != DEFAULT_MODEL, path.stem)) if folder else []

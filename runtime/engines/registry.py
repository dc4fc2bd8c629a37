"""Which engines there are, and which one runs a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dpiqa.errors import EngineError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.native import NativeEngine, why_absent
from dpiqa.runtime.models import find_model


def _onnxruntime(path: str | Path, threads: int | None, requests: int) -> Engine:
    # Imported only where it runs: a child that was forked after the import hangs when it exits.
    from dpiqa.runtime.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, threads, requests)


ENGINES: dict[str, Callable[[str | Path, int | None, int], Engine]] = {
    "onnxruntime": _onnxruntime,
    "openvino": partial(NativeEngine, "openvino"),
    "tensorrt": partial(NativeEngine, "tensorrt"),
    "executorch": partial(NativeEngine, "executorch"),
}
_BY_SUFFIX = {".onnx": ("openvino", "onnxruntime"), ".engine": ("tensorrt",), ".pte": ("executorch",)}


def _suits(path: str | Path) -> str | None:
    """The engine for a file; without the native core, the one that needs none."""
    names = _BY_SUFFIX.get(Path(path).suffix.lower())
    if names is None:
        return None
    return names[-1] if why_absent() else names[0]


def open_engine(
    path: str | Path, name: str = "auto", threads: int | None = None, requests: int = 1, max_wait_ms: int = 0
) -> Engine:
    """Open a model file, or a shipped one by its name, with the named engine or the one that suits the file (`auto`).

    `threads` is the number of CPU threads (None: the engine's choice). With more than one of `requests`, so many
    callers are served at once, each with its part of the threads; with one, a caller has them all. `max_wait_ms`, 0 to
    1000: how long a picture may wait for those of other threads, where the engine forms batches (tensorrt).
    Raises EngineError for a missing file, an unknown name, or a file that the engine cannot run, and ContractError for
    a file without a valid contract.
    """
    if name != "auto" and name not in ENGINES:
        raise EngineError(f"unknown engine '{name}', expected one of: auto, {', '.join(ENGINES)}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1, found {threads}")
    path = find_model(path)
    chosen = _suits(path) if name == "auto" else name
    if chosen is None:
        raise EngineError(f"{path}: no engine here runs such files, expected one of: {', '.join(_BY_SUFFIX)}")
    if chosen == "tensorrt":
        return NativeEngine(chosen, path, threads, requests, max_wait_ms)
    return ENGINES[chosen](path, threads, requests)

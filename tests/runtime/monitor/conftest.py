"""The engine and the streams that the tests of live monitoring share."""

from __future__ import annotations

from pathlib import Path

import pytest
from live import encode, moving

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.onnxruntime import OnnxRuntimeEngine


@pytest.fixture(scope="session")
def engine(model_path: Path) -> Engine:
    """A model that scores by brightness, as fast as a frame can be resized."""
    return OnnxRuntimeEngine(model_path, threads=1)


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 as MPEG-TS."""
    return encode(tmp_path_factory.mktemp("stream") / "moving.ts", moving())

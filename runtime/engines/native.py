"""The engines of the native core, `libdpiqa`: OpenVINO on any CPU, TensorRT on NVIDIA GPUs, ExecuTorch in cameras."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import EngineError
from dpiqa.runtime.engines.base import Process, TimedPrediction
from dpiqa.runtime.models import cache_folder
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.spec import parse_spec

if TYPE_CHECKING:
    from dpiqa.native import Result


def why_absent() -> str | None:
    """Why `dpiqa.native` cannot be used here, None where it can."""
    try:
        import_module("dpiqa.native")
    except ImportError as error:
        return str(error)
    return None


def core_version() -> str | None:
    """The version of the native core, None where it cannot be used."""
    return None if why_absent() else import_module("dpiqa.native").__version__


class NativeEngine:
    """Runs a model file with the named engine of the native core; `threads` and `requests` are as for every engine.

    TensorRT runs the pictures of several threads in one batch: a picture waits for others at most `max_wait_ms`.

    OpenVINO computes FP32 models in FP32 also where the CPU has a faster bfloat16, so that scores are those of every
    other engine. Raises EngineError when the core is absent or cannot run the file, ContractError for one without a
    valid contract.
    """

    def __init__(
        self, name: str, path: str | Path, threads: int | None = None, requests: int = 1, max_wait_ms: int = 0
    ) -> None:
        if reason := why_absent():
            advice = "pip install '.[openvino]' brings its libraries"
            raise EngineError(f"engine '{name}' cannot be loaded: {reason}; {advice}")
        self.name = name
        is_shared = requests > 1 and name != "tensorrt"  # which forms batches of what comes
        self._model: Any = import_module("dpiqa.native").Model(
            path,
            engine=name,
            threads=threads or 0,
            requests=requests if is_shared else 0,
            mode="throughput" if is_shared else "latency",
            force_float32=True,
            max_wait_ms=max_wait_ms,
            cache=cache_folder() or "",
        )
        self.requests: int = self._model.requests
        self._process = Process(self._model)
        self.spec = parse_spec(self._model.contract, path)
        if (
            name != "openvino" or not self.spec.input.other_shapes
        ):  # else it would keep a shape that no picture may have
            self.infer(np.zeros((1, self.spec.input.height, self.spec.input.width, 3), np.uint8))

    def infer(self, frames: NDArray[np.uint8]) -> list[Prediction]:
        """See Engine."""
        self._process.check()
        return [self._prediction(result) for result in self._model.score_many(list(frames), "rgb", ignore_void=True)]

    def score(self, picture: NDArray[np.uint8] | Planes) -> TimedPrediction:
        """See Engine."""
        self._process.check()
        if isinstance(picture, Planes):
            result = self._model.score(picture.planes, picture.format, picture.colour)
        else:
            result = self._model.score(picture)
        return TimedPrediction(self._prediction(result), result.preprocess_ms / 1000, result.infer_ms / 1000)

    def _prediction(self, result: Result) -> Prediction:
        causes = result.causes if self.spec.causes else None
        return Prediction(result.score, self.spec.causes, causes, result.map).where_seen(result.void)

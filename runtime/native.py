"""The engines of the native core, `libdpiqa`: OpenVINO on any CPU, TensorRT on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .engine import Outputs, Scored
from .errors import ContractError, EngineError, InputError
from .spec import parse_spec

if TYPE_CHECKING:
    from dpiqa import Reading


def why_absent() -> str | None:
    """Why the native module `dpiqa` cannot be used here, None where it can."""
    try:
        import_module("dpiqa")
    except ImportError as error:
        return str(error)
    return None


class NativeEngine:
    """Runs a model file with the named engine of the native core; `threads` is as for every engine.

    OpenVINO computes FP32 models in FP32 also where the CPU has a faster bfloat16, so that scores are those of every
    other engine. Raises EngineError when the core is absent or cannot run the file, ContractError for one without a
    valid contract.
    """

    def __init__(self, name: str, path: str | Path, threads: int | None = None) -> None:
        if reason := why_absent():
            advice = "pip install 'dpiqa-edge[openvino]' brings its libraries"
            raise EngineError(f"engine '{name}' cannot be loaded: {reason}; {advice}")
        self.name = name
        self._dpiqa: Any = import_module("dpiqa")
        with self._errors():
            self._scorer = self._dpiqa.Scorer(path, engine=name, threads=threads or 0, force_float32=True)
        self.spec = parse_spec(self._scorer.contract, path)
        self.infer(np.zeros((1, self.spec.input.height, self.spec.input.width, 3), np.uint8))

    def infer(self, frames: NDArray[np.uint8]) -> Outputs:
        """See Engine."""
        with self._errors():
            return self._outputs(self._scorer.score_many(list(frames), "rgb"))

    def score(self, bgr: NDArray[np.uint8]) -> Scored:
        """See Engine."""
        with self._errors():
            reading = self._scorer.score(bgr)
        return Scored(self._outputs([reading]), reading.preprocess_ms / 1000, reading.infer_ms / 1000)

    def _outputs(self, readings: Sequence[Reading]) -> Outputs:
        causes = [reading.causes for reading in readings] if self.spec.causes else None
        maps = [reading.map for reading in readings]
        return Outputs(
            np.array([reading.score for reading in readings], np.float32),
            None if causes is None else np.array(causes, np.float32),
            None if maps[0] is None else np.array(maps, np.float32),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        dpiqa = self._dpiqa
        try:
            yield
        except dpiqa.ContractError as error:
            raise ContractError(str(error)) from None
        except dpiqa.InputError as error:
            raise InputError(str(error)) from None
        except dpiqa.EngineError as error:
            raise EngineError(str(error)) from None

"""The engines of the native core, `libdpiqa`: OpenVINO on any CPU, TensorRT on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engines import Outputs
from .errors import ContractError, EngineError, InputError
from .spec import parse_spec


def native_module() -> Any | None:
    """The module `dpiqa`, or None where this installation has none."""
    try:
        import dpiqa
    except ImportError:  # not built, or the libraries of its engine are absent
        return None
    return dpiqa


class NativeEngine:
    """Runs a model file with the named engine of the native core; `threads` is as for every engine.

    Raises EngineError when the core is absent or cannot run the file, ContractError for one without a valid contract.
    """

    def __init__(self, name: str, path: str | Path, threads: int | None = None) -> None:
        dpiqa = native_module()
        if dpiqa is None:
            raise EngineError(f"engine '{name}' needs the native module dpiqa, build it with -DDPIQA_BUILD_PYTHON=ON")
        self.name = name
        self._dpiqa = dpiqa
        with self._errors():
            self._scorer = dpiqa.Scorer(path, engine=name, threads=threads or 0)
        self.spec = parse_spec(self._scorer.contract, path)
        self.infer(np.zeros((1, self.spec.input.height, self.spec.input.width, 3), np.uint8))

    def infer(self, frames: NDArray[np.uint8]) -> Outputs:
        """See Engine."""
        with self._errors():
            readings = self._scorer.score_many(list(frames), "rgb")
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

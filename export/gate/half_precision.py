"""FP16 models as a GPU computes them: on one where there is one, otherwise with every layer's output rounded.

ONNX Runtime computes FP16 on a CPU largely in FP32 and rounds less often than a GPU, so it cannot judge an FP16 model.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from dpiqa.errors import EngineError
from dpiqa.export.graphs.model import Model
from dpiqa.export.graphs.torch_graph import TorchGraph
from dpiqa.runtime.engines.base import Engine, TimedPrediction
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.prediction import Prediction
from dpiqa.runtime.preprocess import to_input
from dpiqa.train.students.model import predictions


class HalfPrecisionEngine:
    """An FP16 model in PyTorch; `name` says where and how it computes. EngineError for a graph that it cannot run."""

    def __init__(self, model: Model) -> None:
        gpu = torch.cuda.is_available()
        self.requests = 1
        self.name = f"FP16 on {torch.cuda.get_device_name()}" if gpu else "FP16 emulated, every layer's output rounded"
        self.spec = model.spec
        self._graph = TorchGraph(model.graph, torch.device("cuda" if gpu else "cpu"))

    def infer(self, frames: NDArray[np.uint8]) -> list[Prediction]:
        """See Engine."""
        outputs = self._graph.run(torch.from_numpy(np.ascontiguousarray(frames)))
        if not outputs["score"].isfinite().all():
            raise EngineError(f"{self.name}: the score is not a finite number, this model exceeds FP16's range")
        return predictions(outputs, self.spec.causes)

    def score(self, picture: NDArray[np.uint8] | Planes) -> TimedPrediction:
        """See Engine."""
        began = perf_counter()
        frame = to_input(picture, self.spec.input)
        ready = perf_counter()
        (prediction,) = self.infer(frame[None])
        return TimedPrediction(prediction, ready - began, perf_counter() - ready)


def half_engine(model: Model) -> Engine:
    """The engine that judges an FP16 model: HalfPrecisionEngine or, for a graph it cannot run, ONNX Runtime's."""
    try:
        return HalfPrecisionEngine(model)
    except EngineError:
        return model.engine()

"""The engine on ONNX Runtime, the reference for every other one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dpiqa.errors import ContractError, EngineError
from dpiqa.runtime.engines.base import Process, TimedPrediction
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.machine import cores
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.prediction import Floats, Prediction
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import METADATA_KEY, parse_spec
from dpiqa.runtime.void import void_of

log = logging.getLogger(__name__)


def open_session(model: str | bytes, threads: int | None = None) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU, for a file's name or its content, that computes INT8 exactly."""
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised, once
    options.intra_op_num_threads = threads or 0
    # On x86 without VNNI, ONNX Runtime's default INT8 kernels add products in 16 bits, which saturate and move scores
    # by many points. This asks for those that do not; with VNNI it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeEngine:
    """Runs an `.onnx` file on the CPU with ONNX Runtime, the reference for every other engine.

    `threads` is the number of CPU threads, None for one per core; more than one request share them. With `verify`, and
    where the native core is there to do it, the weights are compared with their digest. Raises EngineError when the
    file cannot be loaded, ContractError when it has no contract, or its weights or its graph are not those of it.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, threads: int | None = None, requests: int = 1, verify: bool = True) -> None:
        self.requests = requests
        try:
            self._session = open_session(
                str(path), max(1, (threads or cores()) // requests) if requests > 1 else threads
            )
        except Exception as error:  # ONNX Runtime's errors share no base class
            log.debug("%s: %s", path, error)
            raise EngineError(f"{path}: not an ONNX model that ONNX Runtime can load ({_first_line(error)})") from None
        self._process = Process(self._session)
        document = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if document is None:
            raise ContractError(
                f"{path}: carries no contract (metadata key '{METADATA_KEY}'), python -m export.onnx adds one"
            )
        self._path = path
        self.spec = parse_spec(document, path)
        if verify and not why_absent():
            import_module("dpiqa.native").check_weights(path)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._check_graph()
        # The first run plans memory. Done here, it does not distort the first latency, and a bad graph is found early.
        self.infer(np.zeros((1, self.spec.input.height, self.spec.input.width, 3), np.uint8))

    def infer(self, frames: NDArray[np.uint8]) -> list[Prediction]:
        """See Engine."""
        self._process.check()
        if self.spec.input.other_shapes and not self._takes(frames):
            raise EngineError(f"{self._path}: takes frames of its contract's shapes, found {list(frames.shape)}")
        try:
            results = self._session.run(None, {"frames": frames})
        except Exception as error:
            raise EngineError(f"{self._path}: ONNX Runtime failed ({_first_line(error)})") from None
        values: dict[str, Floats] = dict(zip(self._outputs, map(np.asarray, results), strict=True))
        scores = values["score"]
        if scores.shape != frames.shape[:1]:
            raise EngineError(f"{self._path}: output 'score' must be one number a frame, the model is broken")
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise EngineError(f"{self._path}: output '{name}' is not of finite numbers, the model is broken")
        causes = values.get("causes") if self.spec.causes else None
        maps = values.get("map")
        return [
            Prediction(
                float(score),
                self.spec.causes,
                None if causes is None else causes[row],
                None if maps is None else maps[row],
            )
            for row, score in enumerate(scores)
        ]

    def score(self, picture: NDArray[np.uint8] | Planes) -> TimedPrediction:
        """See Engine."""
        began = perf_counter()
        frame = to_input(picture, self.spec.input)
        ready = perf_counter()
        (prediction,) = self.infer(frame[None])
        prediction = prediction.where_seen(void_of(*(picture.samples() if isinstance(picture, Planes) else [picture])))
        return TimedPrediction(prediction, ready - began, perf_counter() - ready)

    def _check_graph(self) -> None:
        inputs, size = self._session.get_inputs(), self.spec.input
        is_shaped = bool(size.other_shapes)
        wanted = "uint8 [N, H, W, 3]" if is_shaped else f"uint8 [N, {size.height}, {size.width}, 3]"
        if [item.name for item in inputs] != ["frames"]:
            names = ", ".join(item.name for item in inputs)
            raise ContractError(f"{self._path}: the graph must have one input 'frames', found {names or 'none'}")
        shape, fixed = inputs[0].shape, [None, None, None, 3] if is_shaped else [None, size.height, size.width, 3]
        if inputs[0].type != "tensor(uint8)" or [side if isinstance(side, int) else None for side in shape] != fixed:
            free = "any N, H and W" if is_shaped else "any N"
            actual = f"{inputs[0].type} {shape}"
            raise ContractError(f"{self._path}: input 'frames' must be {wanted} with {free}, found {actual}")
        self._check_output("score", [])
        if self.spec.causes:
            self._check_output("causes", [len(self.spec.causes)])
        for output in self._session.get_outputs():
            sides = output.shape[1:]
            if output.name == "map" and (len(sides) != 2 or any(isinstance(side, int) == is_shaped for side in sides)):
                raise ContractError(f"{self._path}: output 'map' must be float32 [N, h, w], found {output.shape}")

    def _takes(self, frames: NDArray[np.uint8]) -> bool:
        return frames.shape[1:3] in [(shape.height, shape.width) for shape in self.spec.input.shapes]

    def _check_output(self, name: str, rest: Sequence[int]) -> None:
        wanted = f"float32 [N{''.join(f', {size}' for size in rest)}]"
        for output in self._session.get_outputs():
            if output.name == name:
                if output.type != "tensor(float)" or output.shape[1:] != rest:
                    actual = f"{output.type} {output.shape}"
                    raise ContractError(f"{self._path}: output '{name}' must be {wanted}, found {actual}")
                return
        raise ContractError(f"{self._path}: the graph lacks the output '{name}', {wanted}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]

"""A model in memory: a graph and its contract."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import onnx

from dpiqa.errors import InputError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.spec import ModelSpec
from dpiqa.train.model_files import load_model, read_contract, save_model


class Model(NamedTuple):
    """A graph and its contract."""

    graph: onnx.ModelProto
    spec: ModelSpec

    def declaring(self, **fields: Any) -> Model:
        """The same graph with other values in some fields of its contract."""
        return self._replace(spec=self.spec.model_copy(update=fields))

    def engine(self) -> Engine:
        """The model in ONNX Runtime; EngineError or ContractError when the graph breaks its contract."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "model.onnx")
            self.save(file)
            return open_engine(file, "onnxruntime")

    def save(self, path: Path) -> Model:
        """Write the model file, and return the model as written, with the SHA-256 of its weights in the contract."""
        save_model(self.graph, self.spec, path)
        return self._replace(spec=read_contract(self.graph, path))


def read_model(path: Path) -> Model:
    """Read a model file; InputError when it is absent or not ONNX, ContractError without a valid contract."""
    graph = load_model(path)
    return Model(graph, read_contract(graph, path))


def read_fp32(path: Path) -> Model:
    """Read a model file to be quantized; like `read_model`, and InputError when it is not FP32."""
    model = read_model(path)
    if model.spec.precision != "fp32":
        raise InputError(f"{path}: is {model.spec.precision}, quantization starts from an fp32 model")
    return model

"""A contract for a network trained elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto

from dpiqa.errors import ContractError, DpiqaError
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.spec import ModelSpec, parse_spec
from dpiqa.train.model_files import load_model, save_model


def add_contract(file: Path, out: Path, name: str, version: str, scale: str, licence: str, causes: list[str]) -> None:
    """Write the ONNX graph in `file` to `out` with a contract, once it has kept it on test patterns.

    The graph must take `frames`, uint8 `[N, H, W, 3]`, RGB with any N, and return `score`, float32 `[N]` from 0 to 100.
    Raises InputError for a file that is not ONNX, ContractError for a graph with other inputs or outputs.
    """
    model = load_model(file)
    size = _frame_size(model)
    if len(size) != 2 or 0 in size:
        raise ContractError(f"{file}: must take 'frames', uint8 [N, H, W, 3] with any N and fixed H and W")
    document = {
        "spec_version": 1,
        "name": name,
        "version": version,
        "precision": _precision(model),
        "input": {"height": size[0], "width": size[1]},
        "score": {"scale": scale},
        "causes": causes,
        "weights_sha256": "0" * 64,
        "licence": licence,
    }
    spec = parse_spec(json.dumps(document), file)
    _check(model, spec, file)
    save_model(model, spec, out)


def _precision(model: onnx.ModelProto) -> str:
    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return "int8"
    return "fp16" if any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer) else "fp32"


def _frame_size(model: onnx.ModelProto) -> list[int]:
    """Height and width of `frames`, 0 for one that is not fixed; empty without such an input."""
    shapes = [item.type.tensor_type.shape.dim for item in model.graph.input if item.name == "frames"]
    return [dim.dim_value for dim in shapes[0][1:3]] if shapes else []


def _check(model: onnx.ModelProto, spec: ModelSpec, file: Path) -> None:
    with TemporaryDirectory() as folder:
        candidate = Path(folder, file.name)
        try:
            save_model(model, spec, candidate)
            scores = scores_of(open_engine(candidate, "onnxruntime").infer(probe_frames(spec.input)))
        except (DpiqaError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            reason = str(error).strip().splitlines()[0].replace(str(candidate), str(file))
            raise ContractError(f"{file}: {reason.removeprefix(f'{file}: ')}") from None
    if scores.min() < spec.score.minimum or scores.max() > spec.score.maximum:
        actual = f"{scores.min():.4g} to {scores.max():.4g}"
        raise ContractError(f"{file}: scores must be from 0 to 100, found {actual} on test patterns")

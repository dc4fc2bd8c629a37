"""Model files: reading ONNX, hashing its weights, writing it with its contract."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from dpiqa.errors import ContractError, InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.spec import METADATA_KEY, ModelSpec, parse_spec


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; InputError if it is missing or invalid."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path}: not a usable ONNX file: {str(error).strip().splitlines()[0]}") from None
    return model


def read_contract(model: onnx.ModelProto, path: Path) -> ModelSpec:
    """The contract inside a model; ContractError if it is missing or invalid."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            return parse_spec(entry.value, path)
    raise ContractError(f"{path}: no dpiqa contract inside; python -m export.onnx --graph adds one")


def save_model(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write `model` with `spec`, its `weights_sha256` updated, as its only metadata; whole or not at all."""
    del model.metadata_props[:]
    spec = spec.model_copy(update={"weights_sha256": weights_sha256(model)})
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def weights_sha256(model: onnx.ModelProto) -> str:
    """SHA-256 over the graph's initializers in name order: each name, then its little-endian values."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        digest.update(tensor.name.encode())
        digest.update(onnx.numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()

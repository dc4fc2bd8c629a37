"""Model files on disk: writing the contract into ONNX, hashing weights, and replacing a file only when it is whole."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from runtime.errors import ContractError, InputError
from runtime.spec import METADATA_KEY, ModelSpec, parse_spec


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; InputError when it is absent or not one."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path}: not a usable ONNX file: {str(error).strip().splitlines()[0]}") from None
    return model


def read_contract(model: onnx.ModelProto, path: Path) -> ModelSpec:
    """The contract inside a model; ContractError when there is none or it is not valid."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            return parse_spec(entry.value, path)
    raise ContractError(f"{path}: no dpiqa contract inside; `python -m export.onnx` writes models that have one")


def save_model(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write `model` with `spec` as its only metadata, `weights_sha256` brought up to date, whole or not at all."""
    del model.metadata_props[:]
    spec = spec.model_copy(update={"weights_sha256": weights_sha256(model)})
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as temporary:
        onnx.save(model, temporary)


def weights_sha256(model: onnx.ModelProto) -> str:
    """SHA-256 over the graph's initializers in name order: each name, then its little-endian values."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        digest.update(tensor.name.encode())
        digest.update(onnx.numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place on success and vanishes on failure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

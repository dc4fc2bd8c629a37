"""A model for other servers: its graph, its contract and its outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import onnx

from dpiqa.errors import ContractError, InputError
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.graphs.transform import first_shape, one_shape
from dpiqa.runtime.spec import ModelSpec
from dpiqa.train.model_files import load_model, read_contract


class Tensor(NamedTuple):
    """An output: its name, and its shape without the batch (-1 where a size is not fixed)."""

    name: str
    shape: tuple[int, ...]


class Deployable(NamedTuple):
    """A model file that can be served: its graph, its contract and its outputs."""

    graph: onnx.ModelProto
    spec: ModelSpec
    outputs: tuple[Tensor, ...]


def open_deployable(path: Path, notify: Notify = ignore) -> Deployable:
    """Read an ONNX file; ContractError when its graph breaks its contract.

    Servers take one size: of several shapes the first is left, and `notify` receives a line that says so.
    """
    graph = load_model(path)
    spec = read_contract(graph, path)
    if spec.input.other_shapes:
        notify(one_shape(path, spec))
        graph, spec = first_shape(graph, spec)
    size = (spec.input.height, spec.input.width, 3)
    inputs = [(item.name, item.type.tensor_type.elem_type, _shape(item)) for item in graph.graph.input]
    if inputs != [("frames", onnx.TensorProto.UINT8, size)]:
        raise ContractError(f"{path}: the graph must have one input 'frames', uint8 [N, {size[0]}, {size[1]}, 3]")
    outputs = tuple(Tensor(item.name, _shape(item)) for item in graph.graph.output)
    if Tensor("score", ()) not in outputs:
        raise ContractError(f"{path}: the graph lacks the output 'score', float32 [N]")
    return Deployable(graph, spec, outputs)


def serving_name(spec: ModelSpec, override: str | None) -> str:
    """The name to serve a model under, `override` or the contract's; InputError unless it can name a folder."""
    name = override or spec.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"'{name}' cannot name a served model, choose letters, digits, '.', '_' and '-' with --name")
    return name


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim[1:])

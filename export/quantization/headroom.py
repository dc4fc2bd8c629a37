"""Weights of 7 bits where activations are signed, so that no CPU's INT8 arithmetic saturates.

Processors without VNNI add two products of an unsigned activation and a signed weight in 16 bits. Activations that are
never negative reach 127, so that their products fit with weights of 8 bits. Signed ones are shifted, reach 255, and fit
with weights up to 64: 2 * 255 * 64 < 2**15.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.numpy_helper import from_array, to_array

LARGEST_WEIGHT = 64


def with_headroom(quantized: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a Q/DQ model whose convolutions of signed activations have weights from -64 to 64.

    Those are rounded from the FP32 `original`, by channel; both graphs must use the same names for weights.
    """
    reduced = onnx.ModelProto()
    reduced.CopyFrom(quantized)
    stored = {tensor.name: tensor for tensor in reduced.graph.initializer}
    exact = {tensor.name: tensor for tensor in original.graph.initializer}
    for dequantize in _behind_signed(reduced):
        whole, scale = (stored[name] for name in dequantize.input[:2])
        values, steps = _rounded(to_array(exact[whole.name]))
        whole.CopyFrom(from_array(values, whole.name))
        scale.CopyFrom(from_array(steps, scale.name))
    return reduced


def _behind_signed(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The DequantizeLinear nodes of the weights of convolutions whose quantized activations may be negative."""
    producers = {name: node for node in model.graph.node for name in node.output}
    values = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    weights: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        activation, weight = (producers.get(name) for name in node.input[:2])
        if not activation or not weight or {activation.op_type, weight.op_type} != {"DequantizeLinear"}:
            continue
        quantize = producers[activation.input[0]]
        if not _is_never_negative(producers.get(quantize.input[0]), values):
            weights.append(weight)
    return weights


def _is_never_negative(node: onnx.NodeProto | None, values: Mapping[str, NDArray[np.generic]]) -> bool:
    if node is None or node.op_type != "Clip":
        return node is not None and node.op_type == "Relu"
    smallest = values.get(node.input[1]) if len(node.input) > 1 else None
    return smallest is not None and float(smallest) >= 0


def _rounded(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The whole numbers and steps `[C]` of weights `[C, ...]`."""
    largest = np.abs(weights).reshape(len(weights), -1).max(1)
    steps = (np.where(largest > 0, largest, 1) / LARGEST_WEIGHT).astype(np.float32)
    whole = np.rint(weights / steps.reshape(-1, *[1] * (weights.ndim - 1)))
    return np.clip(whole, -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8), steps

"""Surgery on graphs with Q/DQ nodes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx

from dpiqa.export.graphs.transform import for_frames

_SIDE = 384


def quantized_layers(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that take a quantized input (convolutions, residual additions, ...) in the graph's order."""
    int8 = _int8_tensors(model)
    return [node.name for node in model.graph.node if int8.intersection(node.input)]


def convolution_macs(model: onnx.ModelProto) -> dict[str, float]:
    """Multiply-accumulates of each convolution, by its node's name, for one frame; of free sides, for a square one."""
    frames = [value.type.tensor_type.shape.dim for value in model.graph.input if value.name == "frames"]
    if any(not side.dim_value for sides in frames for side in sides[1:3]):
        model = for_frames(model, _SIDE, _SIDE)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
              for value in (*inferred.graph.value_info, *inferred.graph.output)}  # fmt: skip
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    return {
        node.name: float(np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:]))
        for node in model.graph.node
        if node.op_type == "Conv"
    }


def int8_share(model: onnx.ModelProto) -> float:
    """The fraction (0 to 1) of the convolutions' multiply-accumulates whose input and weights are INT8."""
    int8, macs = _int8_tensors(model), convolution_macs(model)
    inside = sum(
        macs[node.name] for node in model.graph.node if node.op_type == "Conv" and int8.issuperset(node.input[:2])
    )
    return inside / sum(macs.values()) if macs else 1.0


def restore(quantized: onnx.ModelProto, original: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy of a Q/DQ model in which the layers `names` have the inputs and weights of the FP32 `original`.

    Both graphs must use the same names for layers and the tensors between them, as quantization leaves them. With all
    layers restored, the scores are the original's to the bit.
    """
    restored = onnx.ModelProto()
    restored.CopyFrom(quantized)
    fp32_inputs = {node.name: list(node.input) for node in original.graph.node if node.name in names}
    for node in restored.graph.node:
        if node.name in fp32_inputs:
            node.input[:] = fp32_inputs[node.name]
    weights = {name for inputs in fp32_inputs.values() for name in inputs[1:]}
    stored = {tensor.name: tensor for tensor in restored.graph.initializer}
    for tensor in original.graph.initializer:
        if tensor.name in weights:
            stored[tensor.name] = tensor  # the INT8 weights have its name
    _set_initializers(restored, list(stored.values()))
    return _without_dead_ends(restored)


def _int8_tensors(model: onnx.ModelProto) -> set[str]:
    return {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}


def _without_dead_ends(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop nodes whose results are not used, and the initializers that only they used."""
    nodes, used = [], {output.name for output in model.graph.output}
    for node in reversed(model.graph.node):
        if used.intersection(node.output):
            nodes.insert(0, node)
            used.update(node.input)
    values = [value for value in model.graph.value_info if value.name in used]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.value_info.extend(values)
    model.graph.node.extend(nodes)
    _set_initializers(model, [tensor for tensor in model.graph.initializer if tensor.name in used])
    return model


def _set_initializers(model: onnx.ModelProto, tensors: list[onnx.TensorProto]) -> None:
    copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)

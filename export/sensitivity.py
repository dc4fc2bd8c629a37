"""Which convolutions of a quantized model cost most accuracy, and the same model with some of them back in FP32."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from rich.progress import track

from runtime.engines import open_session


def convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions in the order of the graph."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def restore(quantized: onnx.ModelProto, original: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy of a Q/DQ model in which the convolutions `names` take the inputs and weights of the FP32 `original`.

    Both graphs must name their convolutions and the tensors between them alike, as quantization leaves them.
    """
    restored = onnx.ModelProto()
    restored.CopyFrom(quantized)
    fp32_inputs = {node.name: list(node.input) for node in original.graph.node if node.name in names}
    for node in restored.graph.node:
        if node.name in fp32_inputs:
            node.input[:] = fp32_inputs[node.name]
    kept = {name for inputs in fp32_inputs.values() for name in inputs[1:]}
    stored = {tensor.name: tensor for tensor in restored.graph.initializer}
    for tensor in original.graph.initializer:
        if tensor.name in kept:
            stored[tensor.name] = tensor  # the INT8 weights had taken its name
    _set_initializers(restored, list(stored.values()))
    return _without_dead_ends(restored)


def sensitivity(quantized: Path, original: Path, frames: np.ndarray, progress: bool = False) -> dict[str, float]:
    """Mean drift in points over uint8 `frames` `[N, H, W, 3]` with one convolution alone quantized, largest first."""
    int8, fp32 = onnx.load(quantized), onnx.load(original)
    names = convolutions(fp32)
    expected = _scores(fp32, frames)
    drift = {
        name: float(np.abs(_scores(restore(int8, fp32, set(names) - {name}), frames) - expected).mean())
        for name in track(names, "sensitivity of the convolutions", disable=not progress)
    }
    return dict(sorted(drift.items(), key=lambda item: -item[1]))


def _scores(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    session = open_session(model.SerializeToString())
    return np.concatenate([np.asarray(session.run(["score"], {"frames": frame[None]})[0]) for frame in frames])


def _without_dead_ends(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop nodes whose results nobody uses, and the initializers that only they used."""
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

"""Biases that correct the mean error of quantization in each channel of a convolution.

The head reads means over the picture, in which rounding averages out but an error that is the same everywhere stays
(Nagel et al. 2019, Data-Free Quantization through Weight Equalization and Bias Correction, section 4.2; measured here).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from dpiqa.export.gate.pictures import Frames
from dpiqa.export.gate.progress import tracked
from dpiqa.export.quantization.activations import activations
from dpiqa.export.quantization.qdq import quantized_layers, restore


def correct_biases(
    quantized: onnx.ModelProto, original: onnx.ModelProto, frames: Frames, progress: bool = False
) -> onnx.ModelProto:
    """A copy of a Q/DQ model whose quantized convolutions have the mean outputs of the FP32 `original`, by channel.

    Each is measured alone, all else in FP32, on uint8 `frames` `[N, H, W, 3]`, so that the correction holds whichever
    other layers are restored to FP32. Convolutions without a bias are unchanged.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(quantized)
    stored = {tensor.name: tensor for tensor in corrected.graph.initializer}
    layers = quantized_layers(quantized)
    convolutions = [
        node
        for node in quantized.graph.node
        if node.name in layers and node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in stored
    ]
    if not convolutions:
        return corrected
    expected = _channel_means(original, [node.output[0] for node in convolutions], frames)
    for node in tracked(convolutions, "biases", progress):
        output = node.output[0]
        alone = restore(quantized, original, set(layers) - {node.name})
        _lower(stored[node.input[2]], _channel_means(alone, [output], frames)[output] - expected[output])
    return corrected


def correct_heads(quantized: onnx.ModelProto, original: onnx.ModelProto, frames: Frames) -> onnx.ModelProto:
    """A copy whose fully connected layers have the mean outputs of the FP32 `original`, by neuron.

    For errors that no convolution's bias corrects: a head that reads deviations mistakes rounding for texture. One
    layer after another, the whole model in INT8, on uint8 `frames` `[N, H, W, 3]`; a layer without bias is unchanged.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(quantized)
    stored = {tensor.name: tensor for tensor in corrected.graph.initializer}
    layers = [
        node
        for node in quantized.graph.node
        if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2] in stored
    ]
    expected = _channel_means(original, [node.output[0] for node in layers], frames)
    for node in layers:
        output = node.output[0]
        _lower(stored[node.input[2]], _channel_means(corrected, [output], frames)[output] - expected[output])
    return corrected


def _lower(bias: onnx.TensorProto, error: NDArray[np.float64]) -> None:
    values = (onnx.numpy_helper.to_array(bias) - error).astype(np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))


def _channel_means(model: onnx.ModelProto, names: list[str], frames: Frames) -> dict[str, NDArray[np.float64]]:
    """The mean `[C]` over all frames and places of each tensor `[1, C]` or `[1, C, h, w]`."""
    sums = {name: np.zeros(1) for name in names}
    for tensors in activations(model, names, frames):
        for name, values in tensors.items():
            sums[name] = sums[name] + values[0].reshape(values.shape[1], -1).mean(1, dtype=np.float64)
    return {name: total / len(frames) for name, total in sums.items()}

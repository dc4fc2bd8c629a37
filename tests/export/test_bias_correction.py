"""After correction quantized convolutions, and what reads them, have the mean outputs of the original."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from dpiqa.export.quantization.bias_correction import correct_biases, correct_heads
from dpiqa.runtime.engines.onnxruntime import open_session

_RNG = np.random.default_rng(0)
_WEIGHTS, _BIAS = _RNG.normal(0, 0.1, (4, 3, 3, 3)).astype(np.float32), _RNG.normal(0, 1, 4).astype(np.float32)
_STEP = 40.0  # of the input: so coarse that rounding moves the means


def _graph(quantized: bool, biased: bool) -> onnx.ModelProto:
    """Frames through one convolution `conv`, with its input and weights quantized or not."""
    nodes = [helper.make_node("Cast", ["frames"], ["wide"], to=TensorProto.FLOAT),
             helper.make_node("Transpose", ["wide"], ["pixels"], perm=[0, 3, 1, 2])]  # fmt: skip
    stored, inputs = [from_array(_BIAS, "bias")] if biased else [], ["pixels", "weights"]
    if quantized:
        steps = np.abs(_WEIGHTS).max((1, 2, 3)) / 127
        whole = np.round(_WEIGHTS / steps[:, None, None, None]).astype(np.int8)
        values = {"step": np.float32(_STEP), "zero": np.int8(0), "weights": whole, "zeros": np.zeros(4, np.int8)}
        stored += [from_array(np.asarray(value), name) for name, value in values.items()]
        stored.append(from_array(steps.astype(np.float32), "steps"))
        nodes += [helper.make_node("QuantizeLinear", ["pixels", "step", "zero"], ["q"]),
                  helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["dq"]),
                  helper.make_node("DequantizeLinear", ["weights", "steps", "zeros"], ["w"], axis=0)]  # fmt: skip
        inputs = ["dq", "w"]
    else:
        stored.append(from_array(_WEIGHTS, "weights"))
    nodes.append(helper.make_node("Conv", [*inputs, *(["bias"] if biased else [])], ["result"], name="conv"))
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 16, 16, 3])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, ["N", 4, 14, 14])
    graph = helper.make_graph(nodes, "one", [frames], [result], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _means(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    (result,) = open_session(model.SerializeToString()).run(["result"], {"frames": frames})
    return np.asarray(result).mean((0, 2, 3))


def test_means_are_those_of_the_original() -> None:
    frames = _RNG.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    quantized, original = _graph(True, True), _graph(False, True)
    expected, before = _means(original, frames), quantized.SerializeToString()
    assert np.abs(_means(quantized, frames) - expected).max() > 0.1
    assert _means(correct_biases(quantized, original, frames), frames) == pytest.approx(expected, abs=1e-3)
    assert quantized.SerializeToString() == before


def test_a_convolution_without_bias_stays() -> None:
    frames = _RNG.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    quantized = _graph(True, False)
    assert correct_biases(quantized, _graph(False, False), frames).SerializeToString() == quantized.SerializeToString()


def _with_head(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with two fully connected layers that read each channel's energy, which rounding raises."""
    rng = np.random.default_rng(1)
    for name, shape in {"in": (4, 3), "out": (3, 2), "in_bias": (3,), "out_bias": (2,)}.items():
        model.graph.initializer.append(from_array(rng.normal(0, 1, shape).astype(np.float32), name))
    model.graph.initializer.append(from_array(np.array([2, 3]), "places"))
    model.graph.node.extend(
        [
            helper.make_node("Mul", ["result", "result"], ["energies"]),
            helper.make_node("ReduceMean", ["energies", "places"], ["energy"], keepdims=0),
            helper.make_node("Gemm", ["energy", "in", "in_bias"], ["inner"]),
            helper.make_node("Relu", ["inner"], ["positive"]),
            helper.make_node("Gemm", ["positive", "out", "out_bias"], ["scores"]),
        ]
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2]))
    model.opset_import[0].version = 18
    return model


def test_means_of_heads_are_those_of_the_original() -> None:
    frames = _RNG.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    quantized, original = _with_head(_graph(True, True)), _with_head(_graph(False, True))

    def scores(model: onnx.ModelProto) -> np.ndarray:
        (values,) = open_session(model.SerializeToString()).run(["scores"], {"frames": frames})
        return np.asarray(values).mean(0)

    assert np.abs(scores(quantized) - scores(original)).max() > 1
    corrected = correct_heads(correct_biases(quantized, original, frames), original, frames)
    assert scores(corrected) == pytest.approx(scores(original), rel=1e-4)

"""INT8 files whose products fit 16 bits give ONNX Runtime's scores in OpenVINO on a CPU without VNNI."""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.numpy_helper import from_array, to_array

from dpiqa.export.quantization.headroom import LARGEST_WEIGHT, with_headroom
from dpiqa.runtime.engines.native import why_absent
from dpiqa.train.model_files import read_contract, save_model

DATA = Path(__file__).parents[1] / "cpp_bindings" / "data"
SIGNED, UNSIGNED = "w1", "w2"  # weights of the convolution of the centred picture, and of that behind a Relu
# Runs in a process of its own, because oneDNN reads the variable once.
_SCORES = """
import logging, sys
import numpy as np
from dpiqa.runtime.engines.registry import open_engine
logging.basicConfig(level=logging.WARNING)
engine = open_engine(sys.argv[1], "openvino", 1)
print(*(prediction.score for prediction in engine.infer(np.load(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def original() -> onnx.ModelProto:
    return onnx.load(DATA / "tiny.onnx")


@pytest.fixture(scope="module")
def quantized(original: onnx.ModelProto) -> onnx.ModelProto:
    """The INT8 test model with its weights stored as int8, by channel, under their FP32 names."""
    model = onnx.load(DATA / "tiny-int8.onnx")
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in (SIGNED, UNSIGNED):
        exact = to_array(next(tensor for tensor in original.graph.initializer if tensor.name == name))
        steps = np.abs(exact).max((1, 2, 3)) / 127
        whole = np.rint(exact / steps[:, None, None, None]).astype(np.int8)
        stored[name].CopyFrom(from_array(whole, name))
        stored[f"{name}_scale"].CopyFrom(from_array(steps.astype(np.float32), f"{name}_scale"))
        model.graph.initializer.append(from_array(np.zeros(len(steps), np.int8), f"{name}_zero"))
        model.graph.node.remove(next(node for node in model.graph.node if node.input[0] == name))
        (dequantize,) = (node for node in model.graph.node if node.input[0] == f"{name}_q")
        dequantize.input[:] = [name, f"{name}_scale", f"{name}_zero"]
        dequantize.attribute.append(onnx.helper.make_attribute("axis", 0))
    onnx.checker.check_model(model, full_check=True)
    return model


def _weights(model: onnx.ModelProto, name: str) -> np.ndarray:
    stored = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    return stored[name] * stored[f"{name}_scale"][:, None, None, None]


def test_only_weights_behind_signed_activations_get_fewer_bits(
    quantized: onnx.ModelProto, original: onnx.ModelProto
) -> None:
    reduced = with_headroom(quantized, original)
    stored = {tensor.name: to_array(tensor) for tensor in reduced.graph.initializer}
    assert np.abs(stored[SIGNED].astype(int)).max((1, 2, 3)).tolist() == [LARGEST_WEIGHT] * 8
    assert np.abs(stored[UNSIGNED].astype(int)).max() == 127
    exact = to_array(next(tensor for tensor in original.graph.initializer if tensor.name == SIGNED))
    half_steps = stored[f"{SIGNED}_scale"][:, None, None, None] / 2
    assert (np.abs(_weights(reduced, SIGNED) - exact) <= half_steps * 1.001).all()
    assert np.array_equal(_weights(reduced, UNSIGNED), _weights(quantized, UNSIGNED))


@pytest.mark.skipif(why_absent() is not None, reason="needs the native core and OpenVINO")
@pytest.mark.parametrize("has_headroom", [True, False])
def test_scores_without_vnni_are_those_of_exact_arithmetic(
    quantized: onnx.ModelProto, original: onnx.ModelProto, tmp_path: Path, has_headroom: bool
) -> None:
    model = with_headroom(quantized, original) if has_headroom else quantized
    file, pictures = tmp_path / "int8.onnx", tmp_path / "frames.npy"
    save_model(deepcopy(model), read_contract(model, file), file)
    rng = np.random.default_rng(0)
    # Black, white and their edges: the largest sums that a picture can make.
    coarse = rng.choice(np.array([0, 255], np.uint8), (8, 16, 16, 3))
    frames = coarse.repeat(4, 1).repeat(4, 2)
    np.save(pictures, frames)
    variables = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", _SCORES, str(file), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (expected,) = onnxruntime.InferenceSession(file, options).run(["score"], {"frames": frames})
    assert [float(score) for score in done.stdout.split()] == pytest.approx(np.asarray(expected).tolist(), abs=0.05)
    assert ("computed in FP32" in done.stderr) is not has_headroom

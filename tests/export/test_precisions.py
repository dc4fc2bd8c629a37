"""What a built engine says of its layers is understood, whichever TensorRT says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpiqa.export.graphs.transform import resized
from dpiqa.export.quantization.qdq import convolution_macs
from dpiqa.export.tensorrt.precisions import Layer, convolution_shares, layers_from_inspector
from dpiqa.train.model_files import load_model, read_contract


def test_inspectors_of_all_releases_are_understood() -> None:
    sentence = {"Name": "x", "Dimensions": [1, 3, 8, 8], "Format/Datatype": "Thirty-two wide channel vectorized INT8"}
    word = {"Name": "x", "Dimensions": [1, 3, 8, 8], "Datatype": "Half", "Format": "(NHWC) Channel major format"}
    document = json.dumps({"Layers": [
        {"Name": "a", "LayerType": "CaskConvolution", "Inputs": [sentence], "Outputs": [word],
         "Weights": {"Type": "Int8", "Count": 9}, "Metadata": "[ONNX Layer: a]\x1e[ONNX Layer: relu]"},
        {"Name": "b", "LayerType": "CaskConvolution", "Inputs": [word], "Outputs": [word],
         "Weights": {"Type": "Half", "Count": 9}, "Metadata": "[ONNX Layer: b]"},
        "Reformatting CopyNode",
    ]})  # fmt: skip
    layers = layers_from_inspector(document)
    assert layers[0].nodes == ("a", "relu")
    assert [layer.precision for layer in layers] == ["Int8", "Half", "none"]
    assert convolution_shares({"a": 6.0, "b": 3.0, "c": 1.0}, layers) == {"Int8": 0.6, "Half": 0.3, "unknown": 0.1}


def test_int8_input_with_wider_weights_is_not_int8() -> None:
    layer = Layer("a", "correlation", ("Int8",), ("Float",), ("Float",), ("a",))
    assert convolution_shares({"a": 1.0}, [layer]) == {"Float": 1.0}


def test_macs_follow_the_size(exported: Path) -> None:
    graph = load_model(exported)
    larger, _ = resized(graph, read_contract(graph, exported), 192, 128)
    small, large = convolution_macs(graph), convolution_macs(larger)
    assert small.keys() == large.keys()
    assert sum(large.values()) == pytest.approx(4 * sum(small.values()), rel=1e-6)

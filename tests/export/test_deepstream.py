"""nvinfer's configuration: its keys, what they say of the contract, and the graph that takes nvinfer's floats."""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np
import onnx
import pytest
from forked import Run, call_module
from onnx import TensorProto, helper

from dpiqa import Scorer
from dpiqa.errors import ContractError, InputError
from dpiqa.export.deepstream import main
from dpiqa.export.graphs.model import Model, read_model
from dpiqa.export.graphs.transform import first_shape
from dpiqa.export.serving.deepstream import for_nvinfer, nvinfer_config
from dpiqa.export.serving.deploy import Tensor
from dpiqa.runtime.engines.onnxruntime import open_session
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.spec import METADATA_KEY

# The keys of nvinfer's group [property] that we write, from "Gst-nvinfer File Configuration Specifications" of
# DeepStream 5 to 9, with the values that mean something to us.
KEYS = {
    "gpu-id": "0",
    "gie-unique-id": "1",
    "process-mode": "1",  # on frames
    "interval": "2",
    "batch-size": "4",
    "onnx-file": "tiny.onnx",
    "model-engine-file": "tiny.onnx_b4_gpu0_fp32.engine",
    "network-mode": "0",  # FP32
    "network-type": "100",  # other
    "output-tensor-meta": "1",
    "output-blob-names": "score",
    "network-input-order": "1",  # NHWC
    "infer-dims": "3;96;64",
    "model-color-format": "0",  # RGB
    "net-scale-factor": "1",
    "maintain-aspect-ratio": "0",
    "scaling-filter": "3",
    "scaling-compute-hw": "1",  # GPU
}


def _properties(config: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    parser.read_string(config)
    assert parser.sections() == ["property"]
    return dict(parser["property"])


@pytest.fixture(scope="module")
def folder(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("deepstream") / "tiny"
    done = call_module("export.deepstream", "--model", exported, "--out", out, "--batch", "4", "--interval", "2")
    assert done.returncode == 0, done.stderr
    return out


def test_the_configuration_says_what_the_contract_says(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.onnx", "tiny.txt"]
    assert _properties((folder / "tiny.txt").read_text()) == KEYS


def test_floats_give_the_scores_of_bytes(folder: Path, exported: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 96, 64, 3), np.uint8)
    session = open_session(str(folder / "tiny.onnx"))
    assert [(item.name, item.type, item.shape[1:]) for item in session.get_inputs()] == [
        ("frames", "tensor(float)", [96, 64, 3])
    ]
    (scores,) = session.run(["score"], {"frames": frames.astype(np.float32)})
    expected = scores_of(open_engine(exported, "onnxruntime").infer(frames))
    np.testing.assert_allclose(np.asarray(scores), expected[:, None], atol=0.1)  # INT8 is rounded elsewhere


@pytest.mark.slow
def test_int8_floats_give_the_scores_of_bytes_too(call: Run, tmp_path: Path) -> None:
    done = call(main, "--model", shipped_model("dpiqa-lite0-int8"), "--out", tmp_path / "out", "--name", "int8")
    assert done.returncode == 0, done.stderr
    frame = np.random.default_rng(1).integers(0, 256, (1, 384, 384, 3), np.uint8)
    (scores,) = open_session(str(tmp_path / "out" / "int8.onnx")).run(["score"], {"frames": frame.astype(np.float32)})
    square = tmp_path / "square.onnx"  # where height and width are free, ONNX Runtime rounds elsewhere
    Model(*first_shape(*read_model(shipped_model("dpiqa-lite0-int8")))).save(square)
    expected = scores_of(open_engine(square, "onnxruntime").infer(frame))
    np.testing.assert_allclose(np.asarray(scores), expected[:, None], atol=1e-3)
    assert _properties((tmp_path / "out" / "int8.txt").read_text())["network-mode"] == "1"


def test_our_programs_refuse_a_graph_that_does_not_keep_the_contract(folder: Path) -> None:
    with pytest.raises(ContractError, match="carries no contract"):
        Scorer(folder / "tiny.onnx", "onnxruntime")


def test_int8_names_the_engine_that_trtexec_must_build(exported: Path) -> None:
    spec = Scorer(exported).spec.model_copy(update={"precision": "int8", "causes": ("blur", "noise")})
    config = nvinfer_config("tiny", spec, (Tensor("score", ()), Tensor("causes", (2,))), batch=4, interval=0)
    properties = _properties(config)
    assert (properties["network-mode"], properties["model-engine-file"]) == ("1", "tiny.engine")
    assert properties["output-blob-names"] == "score;causes"
    assert "--maxShapes=frames:4x96x64x3" in config
    assert "--saveEngine=tiny.engine" in config


def test_tensorrt_takes_the_graph(folder: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX's Python package")
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(folder / "tiny.onnx"))
    assert network.get_input(0).dtype == trt.float32
    assert tuple(network.get_output(0).shape) == (-1, 1)


def _sums_bytes() -> onnx.ModelProto:
    """A graph that quantizes by itself: bytes are dequantized, not cast."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 32, 32, 3])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    nodes = [
        helper.make_node("DequantizeLinear", ["frames", "scale"], ["values"]),
        helper.make_node("ReduceMean", ["values", "axes"], ["score"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    graph = helper.make_graph(nodes, "g", [frames], [score], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_graph_that_computes_on_bytes_is_refused() -> None:
    with pytest.raises(InputError, match="cannot take float frames"):
        for_nvinfer(_sums_bytes())


def test_a_graph_without_contract_is_refused(exported: Path, call: Run, tmp_path: Path) -> None:
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    done = call(main, "--model", tmp_path / "bare.onnx", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "no dpiqa contract inside" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_graph_that_breaks_its_contract_is_refused(exported: Path, call: Run, tmp_path: Path) -> None:
    model = onnx.load(exported)
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    entry.value = entry.value.replace('"height":96', '"height":97')
    onnx.save(model, tmp_path / "other.onnx")
    done = call(main, "--model", tmp_path / "other.onnx", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "one input 'frames', uint8 [N, 97, 64, 3]" in done.stderr
    assert not (tmp_path / "out").exists()

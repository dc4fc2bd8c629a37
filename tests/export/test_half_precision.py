"""FP16 models are judged by arithmetic that rounds, and what cannot be rounded stays in FP32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dpiqa.errors import EngineError, InputError
from dpiqa.export import verify
from dpiqa.export.gate import half_precision
from dpiqa.export.gate.half_precision import HalfPrecisionEngine, half_engine
from dpiqa.export.gate.options import Budget
from dpiqa.export.graphs.model import Model, read_model
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.export.graphs.torch_graph import TorchGraph
from dpiqa.export.graphs.transform import half, variance_nodes, with_names
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.tensorrt.network import prepare_network
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.spec import InputSpec, ModelSpec, ScoreSpec

_HEAD = '<ir_version: 8, opset_import: ["" : 18]> g (uint8[N,32,32,3] frames) => (float[N] score)'


def _model(body: str, constants: str = "") -> Model:
    """A model whose graph, in ONNX's text format, makes scores from the frames' channels first, `x`."""
    text = f"""{_HEAD}
    <int64[2] axes = {{2, 3}}, int64[1] last = {{1}}{constants}> {{
        t = Transpose<perm = [0, 3, 1, 2]>(frames)
        x = Cast<to = 1>(t)
        {body}
    }}"""
    spec = ModelSpec(name="tiny", version="1.0.0", input=InputSpec(height=32, width=32), licence="MIT",
                     score=ScoreSpec(scale="none"), weights_sha256="0" * 64)  # fmt: skip
    graph = with_names(onnx.parser.parse_model(text))
    onnx.checker.check_model(graph, full_check=True)
    return Model(graph, spec)


_TO_SCORE = """m = ReduceMean(y, axes)
        c = ReduceMean(m, last)
        score = Squeeze(c, both)"""
_BOTH = ", int64[3] both = {1, 2, 3}"


@pytest.mark.slow
def test_pytorch_runs_the_shipped_graph_as_onnx_runtime_does() -> None:
    model = read_model(shipped_model())
    frames = probe_frames(model.spec.input)
    outputs = TorchGraph(model.graph, torch.device("cpu")).run(torch.from_numpy(frames))
    expected = model.engine().infer(frames)
    assert np.allclose(outputs["score"], scores_of(expected), atol=1e-3)
    for row, prediction in enumerate(expected):
        assert prediction.causes is not None
        assert prediction.map is not None
        assert np.allclose(outputs["causes"][row], prediction.causes, atol=1e-4)
        assert np.allclose(outputs["map"][row], prediction.map, atol=1e-2)


def test_every_layer_rounds_to_eleven_bits_and_what_overflows_is_refused() -> None:
    body = f"""a = Add(x, big)
        y = Sub(a, big)
        {_TO_SCORE}"""
    frames = np.ones((1, 32, 32, 3), np.uint8)
    rounded = _model(body, f"{_BOTH}, float big = {{2048.0}}")
    (prediction,) = HalfPrecisionEngine(rounded._replace(graph=half(rounded.graph))).infer(frames)
    assert prediction.score == 0  # 2049 is no number of FP16
    (prediction,) = HalfPrecisionEngine(rounded).infer(frames)
    assert prediction.score == 1
    huge = _model(body, f"{_BOTH}, float big = {{65504.0}}")
    white = np.full((1, 32, 32, 3), 255, np.uint8)
    with pytest.raises(EngineError, match="exceeds FP16's range"):
        HalfPrecisionEngine(huge._replace(graph=half(huge.graph))).infer(white)


def test_the_deviation_of_a_nearly_flat_channel_survives() -> None:
    """Of values from 30 to 30.5 the variance is 0.04; the steps of FP16 at their squares are 0.5."""
    body = """scaled = Mul(x, scale)
        level = Add(scaled, thirty)
        mean = ReduceMean<keepdims = 0>(level, axes)
        squares = Mul(level, level)
        power = ReduceMean<keepdims = 0>(squares, axes)
        less = Mul(mean, mean)
        variance = Sub(power, less)
        positive = Clip(variance, least)
        deviation = Sqrt(positive)
        c = ReduceMean<keepdims = 0>(deviation, last)
        score = Mul(c, hundred)"""
    constants = ", float scale = {0.25}, float thirty = {30.0}, float least = {0.000001}, float hundred = {100.0}"
    model = _model(body, constants)
    assert len(variance_nodes(model.graph)) == 7
    frames = np.random.default_rng(0).integers(0, 3, (4, 32, 32, 3)).astype(np.uint8)
    expected = scores_of(model.engine().infer(frames))
    engine = HalfPrecisionEngine(Model(half(model.graph), model.spec))
    assert np.allclose(scores_of(engine.infer(frames)), expected, rtol=0.01)
    assert "emulated" in engine.name or "FP16 on" in engine.name


def test_convolutions_are_halved_and_variances_are_not() -> None:
    graph = onnx.shape_inference.infer_shapes(half(read_model(shipped_model()).graph), strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in graph.graph.value_info}
    kinds = {kind: {types[node.output[0]] for node in graph.graph.node if node.op_type == kind}
             for kind in ("Conv", "Sqrt", "Pow")}  # fmt: skip
    assert kinds == {"Conv": {onnx.TensorProto.FLOAT16}, "Sqrt": {onnx.TensorProto.FLOAT},
                     "Pow": {onnx.TensorProto.FLOAT}}  # fmt: skip


def test_a_graph_that_pytorch_does_not_know_is_judged_by_onnx_runtime() -> None:
    model = _model(f"y = Softplus(x)\n        {_TO_SCORE}", _BOTH)
    with pytest.raises(EngineError, match="with Softplus here"):
        HalfPrecisionEngine(model)
    assert half_engine(model).name == "onnxruntime"


@pytest.mark.slow
def test_the_report_says_which_pictures_and_what_judged(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "frames.npy", np.random.default_rng(0).integers(0, 256, (8, 96, 64, 3)).astype(np.uint8))
    pictures = str(tmp_path / "frames.npy")
    with pytest.raises(InputError, match="at least 500 pictures"):
        prepare_network(exported, "fp16", None, Quantization(pictures, Budget()), tmp_path)
    made = prepare_network(exported, "fp16", None, Quantization(pictures, Budget(pictures=1, srcc_drop=1)), tmp_path)
    comparison = json.loads(made.file.with_suffix(".json").read_bytes())["comparison"]
    assert comparison["pictures"] == 8
    judge = HalfPrecisionEngine(made.model).name
    assert comparison["engine"] == judge
    verify.main(exported, made.file, pictures, allow_few=True, max_srcc_drop=1)
    assert "on 8 pictures" in capsys.readouterr().out
    asked: list[str] = []
    monkeypatch.setattr(half_precision.HalfPrecisionEngine, "infer", lambda *_: asked.append("infer"))
    with pytest.raises(TypeError):
        verify.main(exported, made.file, pictures, allow_few=True)
    assert asked

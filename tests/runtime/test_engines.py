"""Opening model files: good ones run, all others are refused in one line that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from made import NO_DIGEST, SIDE, MakeModel, brightness_model, make_spec
from onnx import helper, numpy_helper

from dpiqa.errors import ContractError, DpiqaError, EngineError
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.engines.onnxruntime import OnnxRuntimeEngine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import scores_of
from dpiqa.train.model_files import save_model as save_model_file

NEEDS_NATIVE = pytest.mark.skipif(
    why_absent() is not None, reason="needs the native module dpiqa.native and OpenVINO, pip install '.[openvino]'"
)
every_engine = pytest.mark.parametrize("name", ["onnxruntime", pytest.param("openvino", marks=NEEDS_NATIVE)])


BLACK, RED, WHITE = (0, 0, 0), (255, 0, 0), (255, 255, 255)


def _halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    frame = np.full((1, SIDE, SIDE, 3), left, np.uint8)
    frame[:, :, SIDE // 2 :] = right
    return frame


@every_engine
def test_scores_any_number_of_frames(model_path: Path, name: str) -> None:
    engine = open_engine(model_path, name, threads=1)
    pairs = ((BLACK, RED), (BLACK, WHITE), (RED, WHITE))
    predictions = engine.infer(np.concatenate([_halves(*pair) for pair in pairs]))
    assert scores_of(predictions) == pytest.approx([10, 50, 60], abs=0.01)
    for prediction in predictions:
        assert (prediction.causes, prediction.map) == (None, None)
        assert (prediction.causes_by_name(), prediction.strongest_cause()) == ({}, None)
    assert engine.name == name
    assert engine.spec.model_copy(update={"weights_sha256": NO_DIGEST}) == make_spec()


@every_engine
def test_refuses_weights_that_are_not_those_of_the_contract(model_path: Path, tmp_path: Path, name: str) -> None:
    graph = onnx.load(model_path)
    weights = next(tensor for tensor in graph.graph.initializer if tensor.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.3), "weights"))
    onnx.save(graph, changed := tmp_path / "scaled.onnx")
    with pytest.raises(ContractError, match=r"scaled.onnx: its weights are not those of its contract"):
        open_engine(changed, name)


@every_engine
@pytest.mark.parametrize("output", ["score", "causes", "map"])
def test_refuses_outputs_that_are_not_finite(tmp_path: Path, name: str, output: str) -> None:
    outputs = ("score", "causes", "map")
    spec = make_spec(("blur",))
    graph = brightness_model(spec, outputs)
    maker = next(node for node in graph.graph.node if node.output[0] == output)
    maker.output[0] = "finite"
    graph.graph.initializer.append(numpy_helper.from_array(np.array("nan", np.float32), "nan"))
    graph.graph.node.append(helper.make_node("Add", ["finite", "nan"], [output]))
    for node in graph.graph.node[:-1]:
        node.input[:] = ["finite" if value == output else value for value in node.input]
    save_model_file(graph, spec, broken := tmp_path / "broken.onnx")
    with pytest.raises(EngineError, match=f"output '{output}' is not of finite numbers, the model is broken"):
        open_engine(broken, name)


@every_engine
def test_gives_causes_in_the_contracts_order(save_model: MakeModel, name: str) -> None:
    engine = open_engine(save_model(make_spec(("blur", "noise")), outputs=("score", "causes")), name)
    predictions = engine.infer(np.repeat(_halves(BLACK, (102, 102, 102)), 3, axis=0))
    assert len(predictions) == 3
    for prediction in predictions:
        assert prediction.causes_by_name() == pytest.approx({"blur": 0.8, "noise": 0.8}, abs=0.001)
        assert prediction.strongest_cause() == "blur"  # the first of equals


@every_engine
def test_a_void_frame_is_predicted_as_such(save_model: MakeModel, name: str) -> None:
    engine = open_engine(save_model(make_spec(("blur",)), outputs=("score", "causes", "map")), name)
    white = np.full((70, 90, 3), 255, np.uint8)
    prediction = engine.score(white).prediction
    assert (prediction.void, prediction.score, prediction.causes_by_name()) == ("white", 0, {})
    assert prediction.map is not None
    assert (prediction.map == 0).all()
    halves = engine.score(_halves(BLACK, WHITE)[0]).prediction
    assert (halves.void, halves.score) == (None, pytest.approx(50, abs=0.01))
    (inferred,) = engine.infer(_halves(WHITE, WHITE))
    assert (inferred.void, inferred.score) == (None, pytest.approx(100, abs=0.01))


def test_frames_of_another_size_are_refused(model_path: Path) -> None:
    with pytest.raises(EngineError, match=r"brightness.onnx: ONNX Runtime failed \("):
        OnnxRuntimeEngine(model_path).infer(np.zeros((1, 10, 10, 3), np.uint8))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (EngineError, {"name": "magic"}, "unknown engine 'magic', expected one of: auto, onnxruntime"),
        (EngineError, {"threads": 0}, "threads must be at least 1, found 0"),
    ],
)
def test_wrong_options(model_path: Path, kind: type[DpiqaError], options: dict[str, str], words: str) -> None:
    with pytest.raises(kind, match=words):
        open_engine(model_path, **options)  # type: ignore[arg-type]


@NEEDS_NATIVE
def test_a_core_on_every_cpu_is_the_default(model_path: Path) -> None:
    assert open_engine(model_path).name == "openvino"


def test_a_shipped_model_is_found_by_its_name_alone(tmp_path: Path) -> None:
    assert open_engine("dpiqa-lite0-int8").spec.precision == "int8"
    with pytest.raises(EngineError, match=r"no model 'dpiqa-lite9' \(shipped: dpiqa-lite0, dpiqa-lite0-int8"):
        open_engine("dpiqa-lite9")
    with pytest.raises(EngineError, match="dpiqa-lite0: no such model file"):
        open_engine(tmp_path / "dpiqa-lite0")


@every_engine
def test_files_that_are_no_models(tmp_path: Path, model_path: Path, name: str) -> None:
    truncated, text, other = tmp_path / "cut.onnx", tmp_path / "text.onnx", tmp_path / "model.pt"
    truncated.write_bytes(model_path.read_bytes()[:300])
    text.write_text("not a model\n")
    other.write_bytes(b"")
    for path, words in (
        (tmp_path / "gone.onnx", "no such model file"),
        (tmp_path, "no such model file"),
        (truncated, "not an ONNX model"),
        (text, "not an ONNX model"),
        (other, "no engine here runs such files, expected one of: .onnx"),
    ):
        with pytest.raises(EngineError, match=words) as refusal:
            open_engine(path, "auto" if path == other else name)
        assert str(refusal.value).startswith(f"{path}: ")
        assert "\n" not in str(refusal.value)


def _without_height() -> str:
    return make_spec().to_json().replace(f'"height":{SIDE}', '"height":0')


@every_engine
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"document": None}, "carries no contract .* python -m export.onnx adds one"),
        ({"document": "{"}, "is not JSON"),
        ({"document": _without_height()}, "'input.height'"),
        (
            {"document": make_spec(height=32).to_json()},
            r"'frames' must be uint8 \[N, 32, 64, 3\]",
        ),
        ({"document": make_spec(("blur",)).to_json()}, r"lacks the output 'causes', float32 \[N, 1\]"),
        (
            {"spec": make_spec(("blur",)), "document": make_spec(("a", "b")).to_json(), "outputs": ("score", "causes")},
            r"'causes' must be float32 \[., ?2\].*, found ",
        ),
        ({"outputs": ("causes",)}, r"lacks the output 'score'"),
    ],
)
def test_contracts_that_do_not_hold(save_model: MakeModel, name: str, changes: dict[str, object], words: str) -> None:
    path = save_model(**changes)
    with pytest.raises(ContractError, match=words) as refusal:
        open_engine(path, name)
    assert str(refusal.value).startswith(f"{path}: ")

"""A student that names causes and draws a map: every export keeps both outputs, every engine gives the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from dpiqa import Scorer
from dpiqa.errors import ContractError, InputError
from dpiqa.export.cards.distortions import distortions_table, each_distortion_table
from dpiqa.export.gate.comparison import compare_files
from dpiqa.export.gate.pictures import Pictures
from dpiqa.export.graphs.quantized_student import export_quantized
from dpiqa.export.graphs.student import export_checkpoint, export_student, parity_error
from dpiqa.export.graphs.transform import resized
from dpiqa.export.int8 import main as export_int8
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import Prediction, scores_of
from dpiqa.train import qat
from dpiqa.train.data.datasets import load
from dpiqa.train.evaluation.results import evaluate
from dpiqa.train.evaluation.score_map import ScoreMap, with_map
from dpiqa.train.evaluation.scores import predict_samples
from dpiqa.train.model_files import load_model, read_contract, save_model
from dpiqa.train.students.files import load_packed, load_student
from dpiqa.train.students.model import Student
from dpiqa.train.students.quantizers import load_quantized

Run = Callable[..., subprocess.CompletedProcess[str]]
CAUSES = ("blur", "noise", "motion")
NEEDS_NATIVE = pytest.mark.skipif(
    why_absent() is not None, reason="needs the native module dpiqa.native and OpenVINO, pip install '.[openvino]'"
)
LOOSE = {"allow_few": True, "max_srcc_drop": 2.0, "max_drift": 100.0, "max_mean_drift": 100.0}


def _frames(count: int, seed: int = 0, height: int = 96, width: int = 64) -> np.ndarray:
    """Grain of several sizes and contrasts, uint8 `[N, h, w, 3]`."""
    rng = np.random.default_rng(seed)
    grain = rng.integers(0, 256, (count, height // 8, width // 8, 3)).repeat(8, 1).repeat(8, 2)
    share = rng.random((count, 1, 1, 1))
    return (share * grain + (1 - share) * rng.integers(0, 256, (count, height, width, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained student at 96x64 whose outputs differ from frame to frame."""
    torch.manual_seed(0)
    student = Student("test_efficientnet", causes=CAUSES, map=True).eval()
    with torch.no_grad():
        for name in ("head.3", "cause_head.3", "map_head.1"):
            student.get_submodule(name).weight.mul_(40)  # type: ignore[union-attr, operator]
    rated = {"name": "csv", "split": "ratio:0", "images": 3}
    photographs = {"name": "clic", "split": "pristine", "images": 7}
    about = {"student": student.config, "input": {"height": 96, "width": 64, "resize": "area"},
             "trained_on": [rated, photographs]}  # fmt: skip
    path = tmp_path_factory.mktemp("causes") / "best.pt"
    torch.save({"about": about, "ema": student.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Path:
    out = checkpoint.with_name("multi.onnx")
    export_checkpoint(checkpoint, out, "multi", "1", "MIT")
    return out


def test_the_contract_names_causes_and_everything_that_was_learned_on(model: Path) -> None:
    spec = read_contract(load_model(model), model)
    assert spec.causes == CAUSES
    assert [(entry.name, entry.split, entry.images) for entry in spec.trained_on] == [
        ("csv", "ratio:0", 3),
        ("clic", "pristine", 7),
    ]


@pytest.mark.slow
def test_a_model_file_that_learned_from_faults_is_exported_again(model: Path, tmp_path: Path) -> None:
    student, record = load_packed(model, "test_efficientnet")
    torch.save({"about": record.to_dict(), "ema": student.state_dict()}, tmp_path / "best.pt")
    export_checkpoint(tmp_path / "best.pt", tmp_path / "again.onnx", "multi", "1", "MIT")
    before, after = (read_contract(load_model(file), file) for file in (model, tmp_path / "again.onnx"))
    assert after.trained_on == before.trained_on
    assert after.score == before.score
    assert after.causes == before.causes


def test_a_model_file_with_more_than_its_student_is_no_start(model: Path, tmp_path: Path) -> None:
    graph = load_model(model)
    harsher = ScoreMap(np.array([0.0, 100.0]), np.array([0.0, 60.0]))
    save_model(with_map(graph, harsher), read_contract(graph, model), tmp_path / "calibrated.onnx")
    with pytest.raises(InputError, match="computes something other than its student, as calibrated models do"):
        load_packed(tmp_path / "calibrated.onnx", "test_efficientnet")


@pytest.mark.parametrize("name", ["onnxruntime", pytest.param("openvino", marks=NEEDS_NATIVE)])
def test_every_engine_gives_what_torch_gives(checkpoint: Path, model: Path, name: str) -> None:
    student, _ = load_student(checkpoint)
    frames = _frames(3)
    with torch.inference_mode():
        expected = {key: value.numpy() for key, value in student.outputs_by_name(torch.from_numpy(frames)).items()}
    scores, causes, maps = _arrays(open_engine(model, name).infer(frames))
    assert scores == pytest.approx(expected["score"], abs=0.05)
    assert causes == pytest.approx(expected["causes"], abs=0.002)
    assert maps.shape == (3, 12, 8)
    assert np.abs(maps - expected["map"]).max() < 0.1
    assert np.ptp(maps) > 1
    assert np.ptp(causes) > 0.01


def test_readings_carry_the_causes(model: Path) -> None:
    reading = Scorer(model).score(_frames(1)[0])
    assert tuple(reading.causes) == CAUSES
    assert all(0 <= strength <= 1 for strength in reading.causes.values())
    assert set(json.loads(reading.to_json())["causes"]) == set(CAUSES)


@pytest.mark.slow
def test_an_export_that_spoils_the_map_or_a_cause_is_noticed(checkpoint: Path, tmp_path: Path) -> None:
    student, record = load_student(checkpoint)
    file = tmp_path / "student.onnx"
    export_student(student, record.input, file)
    assert parity_error(student, file, _frames(2)) < 0.05
    for head in ("cause_head.3", "map_head.1"):
        other, _ = load_student(checkpoint)
        other.get_submodule(head).bias.data += 0.2  # type: ignore[union-attr, operator]
        assert parity_error(other, file, _frames(2)) > 0.05


def test_the_graph_takes_another_size_with_its_map(model: Path, tmp_path: Path) -> None:
    graph, spec = resized(load_model(model), read_contract(load_model(model), model), 64, 128)
    save_model(graph, spec, tmp_path / "wide.onnx")
    _, _, maps = _arrays(open_engine(tmp_path / "wide.onnx", "onnxruntime").infer(_frames(2, height=64, width=128)))
    assert maps.shape == (2, 8, 16)


def test_a_map_without_a_size_is_refused(model: Path, tmp_path: Path) -> None:
    graph = load_model(model)
    (output_map,) = (output for output in graph.graph.output if output.name == "map")
    (producer,) = (node for node in graph.graph.node if "map" in node.output)
    del producer.output[:]
    producer.output.append("planes")
    graph.graph.node.append(onnx.helper.make_node("NonZero", ["planes"], ["places"]))
    graph.graph.node.append(onnx.helper.make_node("Cast", ["places"], ["map"], to=onnx.TensorProto.FLOAT))
    for place, name in enumerate(("a", "b")):
        output_map.type.tensor_type.shape.dim[place].dim_param = name
    del output_map.type.tensor_type.shape.dim[2:]
    save_model(graph, read_contract(graph, model), tmp_path / "loose.onnx")
    with pytest.raises(ContractError, match=r"output 'map' must be float32 \[N, h, w\]"):
        open_engine(tmp_path / "loose.onnx", "onnxruntime")


@pytest.mark.slow
def test_int8_keeps_both_and_tells_how_they_drifted(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    np.save(tmp_path / "frames.npy", _frames(24))
    export_int8(model, str(tmp_path / "frames.npy"), out, keep=1, **LOOSE)  # type: ignore[arg-type]
    frames = _frames(8, seed=1)
    (_, causes, maps), (_, _, reference_maps) = (
        _arrays(open_engine(file, "onnxruntime").infer(frames)) for file in (out, model)
    )
    assert causes.shape == (8, 3)
    pictures = Pictures(frames, tuple("abcdefgh"))
    comparison = compare_files(model, out, pictures)
    assert comparison.cause_agreement is not None
    assert 0 <= comparison.cause_agreement <= 1
    drift = np.abs(maps - reference_maps).mean()
    assert drift > 0
    assert comparison.map_drift == pytest.approx(drift, abs=0.05)
    report = json.loads(out.with_suffix(".json").read_text())["comparison"]
    assert {"cause_agreement", "map_drift"} <= report.keys()
    assert "pictures with the same strongest cause" in out.with_suffix(".html").read_text()
    assert compare_files(model, model, pictures).map_drift == 0


@pytest.mark.slow
def test_fine_tuning_for_int8_keeps_causes_and_map(checkpoint: Path, model: Path, tmp_path: Path) -> None:
    table = _rated(tmp_path)
    qat.main(checkpoint, [f"csv={table}"], tmp_path / "run", "grouped", allow_few=True, batch=4, epochs=1, bf16=False)
    tuned, record = load_quantized(tmp_path / "run" / "best.pt")
    spec = read_contract(load_model(model), model)
    save_model(export_quantized(tuned, record.input), spec, tmp_path / "int8.onnx")
    frames = _frames(4, seed=3)
    with torch.inference_mode():
        expected = {name: value.numpy() for name, value in tuned.outputs_by_name(torch.from_numpy(frames)).items()}
    _, causes, maps = _arrays(open_engine(tmp_path / "int8.onnx", "onnxruntime").infer(frames))
    assert np.abs(causes - expected["causes"]).max() < 0.02
    assert np.abs(maps - expected["map"]).mean() < 0.5
    _, _, reference_maps = _arrays(open_engine(model, "onnxruntime").infer(frames))
    assert np.abs(maps - reference_maps).mean() < 5


def test_evaluation_tells_the_causes_and_how_the_map_agrees(checkpoint: Path, model: Path, tmp_path: Path) -> None:
    samples = load("csv", _rated(tmp_path, 12))
    by_file = [evaluate(predict_samples(file, samples), samples, []) for file in (checkpoint, model)]
    for metrics in by_file:
        assert sum(cause["images"] for cause in metrics["causes"].values()) == 12
        assert -1 <= metrics["map"]["srcc"] <= 1
    assert by_file[0]["map"]["plcc"] == pytest.approx(by_file[1]["map"]["plcc"], abs=0.01)


def _arrays(predictions: list[Prediction]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores `[N]`, causes `[N, K]` and maps `[N, h, w]`."""
    causes = [prediction.causes for prediction in predictions if prediction.causes is not None]
    maps = [prediction.map for prediction in predictions if prediction.map is not None]
    return scores_of(predictions), np.array(causes), np.array(maps)


def _rated(folder: Path, count: int = 24) -> Path:
    import cv2

    lines = ["image,mos"]
    for number, frame in enumerate(_frames(count, seed=2)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
        lines.append(f"{number}.png,{20 + 2 * number}")
    table = folder / "scores.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_the_card_tells_order_causes_and_stability_of_each_model() -> None:
    rows = [
        ("order", "jpeg", 0.9, 0.5),
        ("cause", "compression", 0.5, np.nan),
        ("order", "all", 0.97, 0.5),
        ("stability", "one_pixel_shift", 1.234, np.nan),
    ]
    order = pd.DataFrame(rows, columns=["measure", "name", "value", "cause_right"])
    order = order.assign(pictures=9, photographs="good", cause="compression", level_0=80.2, level_1=75.0)
    order = order.assign(cause_right_1=[0.25, np.nan, 0.25, np.nan])
    lines = distortions_table([order.assign(model="a.onnx"), order.assign(model="b.onnx")]).splitlines()
    assert lines[0] == "| | a.onnx | b.onnx |"
    assert "| strongest cause right, compression | 50.0% | 50.0% |" in lines
    assert "| strongest cause right, all distortions at level 1 | 25.0% | 25.0% |" in lines
    assert "| adjacent levels in order, all | 97.0% | 97.0% |" in lines
    assert "| largest deviation in points, one pixel shift | 1.2 | 1.2 |" in lines
    assert "on 9 held-out photographs (good)" in lines[-1]
    assert each_distortion_table(order.assign(model="a.onnx")).splitlines()[2:] == [
        "| jpeg | compression | 80 | 75 | 90% | 50% |"
    ]
    assert not any("jpeg" in line for line in lines)
    with pytest.raises(InputError, match="do not hold the same measures"):
        distortions_table([order.assign(model="a"), order[:1].assign(model="b")])

"""From checkpoint to ONNX to INT8: same scores, a contract that is true, nothing half-written on bad input."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import onnx
import pytest
import torch

from dpiqa import Scorer
from dpiqa.errors import ContractError, InputError
from dpiqa.export import int8
from dpiqa.export import onnx as onnx_command
from dpiqa.export.quantization.qdq import int8_share, quantized_layers
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.train.model_files import load_model, read_contract, save_model, weights_sha256
from dpiqa.train.students.files import load_packed, load_student

Run = Callable[..., subprocess.CompletedProcess[str]]
CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"


def test_onnx_scores_like_torch_for_any_batch(checkpoint: Path, exported: Path) -> None:
    student, _ = load_student(checkpoint)
    engine = open_engine(exported)
    for count in (1, 5):
        frames = np.random.default_rng(count).integers(0, 256, (count, 96, 64, 3)).astype(np.uint8)
        with torch.inference_mode():
            expected = student(torch.from_numpy(frames)).numpy()
        assert scores_of(engine.infer(frames)) == pytest.approx(expected, abs=0.05)


def test_a_model_file_is_a_student_again(checkpoint: Path, exported: Path) -> None:
    (student, record), (again, packed) = load_student(checkpoint), load_packed(exported, None)
    frames = torch.randint(0, 256, (2, 96, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert again(frames).numpy() == pytest.approx(student(frames).numpy(), abs=0.01)
        # whose norms must not use the statistics of the batch
        training = [level.numpy() for level in again.train().forward_features(frames)]
        evaluation = again.eval().forward_features(frames)
        assert all((one == other.numpy()).all() for one, other in zip(training, evaluation, strict=True))
    assert packed.to_dict() == record.to_dict() | {"student": student.config | {"fixed_norms": True}}
    for file, arch in ((exported, "tf_efficientnet_lite2"), (shipped_model("dpiqa-lite0-int8"), None)):
        with pytest.raises(InputError, match=r"^[^\n]*not the FP32 graph of a student[^\n]*$"):
            load_packed(file, arch)


@pytest.mark.parametrize("source", [pytest.param("--checkpoint", marks=pytest.mark.slow), "--model"])
def test_a_student_at_another_size(call: Run, checkpoint: Path, exported: Path, tmp_path: Path, source: str) -> None:
    out = tmp_path / "wide.onnx"
    file = checkpoint if source == "--checkpoint" else exported
    done = call(onnx_command.main, source, file, "--size", "64x128", "--out", out)
    assert done.returncode == 0, done.stderr
    engine, (student, _) = open_engine(out), load_student(checkpoint)
    spec = engine.spec
    assert (spec.input.height, spec.input.width, spec.evaluated_on) == (64, 128, ())
    assert (spec.name, spec.licence) == (("wide", "not stated") if source == "--checkpoint" else ("tiny", "MIT"))
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 128, 3)).astype(np.uint8)
    with torch.inference_mode():
        assert scores_of(engine.infer(frames)) == pytest.approx(student(torch.from_numpy(frames)).numpy(), abs=0.05)


def test_frames_are_cast_before_anything_else(exported: Path) -> None:
    """TensorRT takes uint8 into no other layer."""
    nodes = load_model(exported).graph.node
    assert [node.op_type for node in nodes if "frames" in node.input] == ["Cast"]


def test_weights_that_are_not_numbers_are_not_exported(call: Run, checkpoint: Path, tmp_path: Path) -> None:
    whole = torch.load(checkpoint, weights_only=True)
    whole["ema"]["head.3.bias"].fill_(torch.nan)
    torch.save(whole, tmp_path / "nan.pt")
    done = call(onnx_command.main, "--checkpoint", tmp_path / "nan.pt", "--out", tmp_path / "nan.onnx")
    assert done.returncode == 3
    assert f"not written, some weights of {tmp_path / 'nan.pt'} are not finite numbers" in done.stderr
    assert not (tmp_path / "nan.onnx").exists()


def test_contract_tells_the_truth_and_nothing_of_the_machine(exported: Path) -> None:
    graph = load_model(exported)
    spec = read_contract(graph, exported)
    assert (spec.input.height, spec.input.width) == (96, 64)
    assert spec.trained_on[0].images == 3
    assert spec.weights_sha256 == weights_sha256(graph)
    assert graph.opset_import[0].version >= 17
    assert [entry.key for entry in graph.metadata_props] == ["dpiqa"]
    assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    del graph.graph.initializer[:]
    assert b".py" not in graph.SerializeToString()


def test_weights_hash_changes_with_one_weight(exported: Path) -> None:
    graph = load_model(exported)
    before = weights_sha256(graph)
    tensor = next(t for t in graph.graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] += 1e-3
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert weights_sha256(graph) != before


def test_saving_replaces_the_contract_and_keeps_the_graph(exported: Path, tmp_path: Path) -> None:
    graph = load_model(exported)
    spec = read_contract(graph, exported)
    copy = tmp_path / "copy.onnx"
    save_model(graph, spec.model_copy(update={"version": "9"}), copy)
    assert read_contract(load_model(copy), copy).version == "9"
    assert load_model(copy).graph == load_model(exported).graph


@pytest.mark.parametrize("command", [onnx_command, int8], ids=["onnx", "int8"])
def test_unusable_input_is_one_line_and_leaves_no_file(call: Run, command: ModuleType, tmp_path: Path) -> None:
    bad = tmp_path / "bad.file"
    bad.write_bytes(b"neither a checkpoint nor ONNX")
    source = "--checkpoint" if command is onnx_command else "--model"
    extra = [] if command is onnx_command else ["--calibration", tmp_path]
    for path in (bad, tmp_path / "absent"):
        done = call(command.main, source, path, "--out", tmp_path / "out.onnx", *extra)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert str(path) in done.stderr
    assert sorted(tmp_path.iterdir()) == [bad]


def test_int8_refuses_a_model_without_contract(call: Run, exported: Path, tmp_path: Path) -> None:
    graph = load_model(exported)
    del graph.metadata_props[:]
    bare = tmp_path / "bare.onnx"
    onnx.save(graph, bare)
    with pytest.raises(ContractError, match="no dpiqa contract inside"):
        read_contract(graph, bare)
    done = call(int8.main, "--model", bare, "--calibration", tmp_path, "--out", tmp_path / "q.onnx")
    assert done.returncode == 2
    assert "no dpiqa contract inside" in done.stderr


def test_unwritable_place_is_refused(exported: Path) -> None:
    graph = load_model(exported)
    with pytest.raises(InputError, match="cannot be written"):
        save_model(graph, read_contract(graph, exported), Path("/proc/nowhere/out.onnx"))


def _clip_frames(folder: Path, count: int) -> Path:
    """Crops of the example clip at several scales, as PNG files."""
    capture, rng = cv2.VideoCapture(str(CLIP)), np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number * 499 // count)
        frame = capture.read()[1]
        side = int(rng.integers(400, 1080))
        top, left = int(rng.integers(0, 1081 - side)), int(rng.integers(0, 1921 - side))
        crop = cv2.resize(frame[top : top + side, left : left + side], (400, 400), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number}.png"), crop)
    return folder


@pytest.mark.slow
def test_int8_file_is_what_its_report_says(call: Run, small: Path, tmp_path: Path) -> None:
    pictures = _clip_frames(tmp_path / "pictures", 24)
    out = tmp_path / "int8.onnx"
    # Twelve pictures calibrate badly: these limits let the file be written, they say nothing of its quality.
    limits = ["--max-srcc-drop", "0.3", "--max-mean-drift", "5", "--max-drift", "20"]
    done = call(int8.main, "--model", small, "--calibration", pictures, "--allow-few", "--keep", "2", *limits,
               "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "INT8 against FP32 on 12 pictures" in done.stdout
    graph = load_model(out)
    assert read_contract(graph, out).precision == "int8"
    report = json.loads(out.with_suffix(".json").read_text())
    kept = report["manifest"]["kept_in_fp32"]
    assert kept == list(report["sensitivity"])[:2]
    assert set(report["sensitivity"]) - set(quantized_layers(graph)) == set(kept)
    assert all(name in done.stdout for name in kept)
    assert report["manifest"]["int8_share_of_convolutions"] == pytest.approx(int8_share(graph))
    assert report["manifest"]["calibration"]["pictures"] == 12
    assert report["manifest"]["model"]["weights_sha256"] == weights_sha256(graph)
    assert Scorer(out).score(np.full((64, 64, 3), 128, np.uint8)).score >= 0


@pytest.mark.slow
def test_a_repair_is_judged_on_pictures_that_it_was_not_chosen_on(call: Run, small: Path, tmp_path: Path) -> None:
    pictures = _clip_frames(tmp_path / "pictures", 36)
    limits = ["--max-srcc-drop", "0.05", "--max-mean-drift", "0.8", "--max-drift", "1.5"]
    done = call(int8.main, "--model", small, "--calibration", pictures, "--allow-few",
               "--auto-repair", *limits, "--out", tmp_path / "int8.onnx")  # fmt: skip
    assert re.search(r"in FP32: \d+; keeps the budget", done.stdout)
    report = json.loads((tmp_path / "int8.json").read_text())
    assert report["manifest"]["kept_in_fp32"]
    metrics = report["comparison"]
    keeps_budget = metrics["mean_drift"] <= 0.8 and metrics["largest_drift"] <= 1.5
    assert "on 12 pictures" in done.stdout + done.stderr
    assert (done.returncode, (tmp_path / "int8.onnx").exists()) == ((0, True) if keeps_budget else (3, False))


@pytest.mark.slow
def test_where_no_repair_will_do_the_report_says_so(call: Run, exported: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 96, 64, 3)).astype(np.uint8)
    np.save(tmp_path / "f.npy", frames)
    done = call(int8.main, "--model", exported, "--calibration", tmp_path / "f.npy", "--allow-few", "--auto-repair",
               "--min-int8", "1", "--max-drift", "0", "--out", tmp_path / "q.onnx")  # fmt: skip
    assert done.returncode == 3
    assert re.fullmatch(
        r".*q\.onnx: not written, no repair was found that leaves 100 % .*dpiqa train qat.*\n", done.stderr
    )
    report = json.loads((tmp_path / "q.json").read_text())
    assert report["refusal"] in done.stderr
    assert report["comparison"]["largest_drift"] > 0
    assert report["sensitivity"]
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.slow
def test_broken_budget_leaves_a_report_and_no_model(call: Run, exported: Path, tmp_path: Path) -> None:
    pictures = _clip_frames(tmp_path / "pictures", 16)
    done = call(int8.main, "--model", exported, "--calibration", pictures, "--allow-few", "--max-drift", "0",
               "--out", tmp_path / "q.onnx")  # fmt: skip
    assert done.returncode == 3
    assert "q.onnx: not written, budget broken on 8 pictures" in done.stderr
    worst = json.loads((tmp_path / "q.json").read_text())["comparison"]["scores"][0]["picture"]
    assert worst in done.stderr
    assert worst in (tmp_path / "q.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "q.html", "q.json"]

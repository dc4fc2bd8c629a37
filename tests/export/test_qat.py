"""Fine-tuning for INT8: a student keeps its scores when folded, and becomes a model file through the gate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from forked import call_module

from dpiqa.export.quantization.qdq import int8_share
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import load
from dpiqa.train.model_files import read_contract
from dpiqa.train.students.imitation import ImitatedFrames, Imitator, imitation_loss
from dpiqa.train.students.model import Student
from dpiqa.train.students.quantizers import add_quantizers, clip_ranges, fold_batch_norms, load_quantized

Run = Callable[..., subprocess.CompletedProcess[str]]


def _write_pictures(folder: Path, count: int, seed: int) -> Path:
    """Small pictures, more and more blurred, and their table."""
    rng = np.random.default_rng(seed)
    rows = ["image,mos"]
    for number in range(count):
        grain = rng.integers(0, 256, (96, 64, 3)).astype(np.uint8)
        name = f"{seed}-{number}.png"
        cv2.imwrite(str(folder / name), cv2.GaussianBlur(grain, (0, 0), 0.5 + 4 * number / count))
        rows.append(f"{name},{95 - number}")
    table = folder / "scores.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_pictures(tmp_path_factory.mktemp("pictures"), 48, seed=0)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_pictures(tmp_path_factory.mktemp("unseen"), 24, seed=1).parent


def _tune(run: Run, checkpoint: Path, pictures: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run("train.qat", "--checkpoint", checkpoint, "--data", f"csv={pictures}", "--split", "grouped",
               "--out", out, "--batch", "4", *options)  # fmt: skip


@pytest.fixture(scope="module")
def tuned(run: Run, checkpoint: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("qat")
    done = _tune(run, checkpoint, pictures, out, "--allow-few", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("arch", ["tf_efficientnet_lite0", "tf_efficientnet_b0"])
def test_folding_keeps_the_scores_and_leaves_no_batch_norm(arch: str) -> None:
    torch.manual_seed(0)
    student = Student(arch)
    frames = torch.randint(0, 256, (4, 96, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        for norm in (m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            for tensor, low, high in ((norm.running_mean, -0.1, 0.1), (norm.running_var, 0.8, 1.2), (norm.bias, -1, 1)):
                assert tensor is not None
                tensor.uniform_(low, high)
        folded = fold_batch_norms(student)
        assert torch.allclose(folded(frames), student.eval()(frames), atol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


@pytest.mark.slow
def test_clipped_ranges_end_at_the_percentile_of_what_was_shown() -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    frames[0, 0, 0] = 255
    student = add_quantizers(fold_batch_norms(Student()), lambda model: model(frames))
    stem: Any = student.trunk.conv_stem.input_quantizer
    seen = ((frames.float() - student.mean.view(3)) / student.std.view(3)).abs()
    assert float(stem.amax) == pytest.approx(float(seen.max()), abs=1e-4)
    clip_ranges(student, lambda model: model(frames), 90.0)
    assert float(stem.amax) == pytest.approx(float(seen.quantile(0.9)), abs=0.01)


def test_imitation_counts_scores_in_points_and_features_in_their_spread() -> None:
    score, features, spread = torch.tensor([20.0, 80.0]), torch.rand(2, 5), torch.rand(5) + 0.1
    loss = partial(imitation_loss, spread=spread, weight=0.5)
    assert loss((score, features), score, features) == 0
    assert float(loss((score, features + 2 * spread), score, features)) == pytest.approx(0.5 * 2**2, rel=1e-4)
    assert float(loss((score + 5, features), score, features)) == pytest.approx(0.5 * 0.5**2)
    causes, maps = torch.rand(2, 3), torch.rand(2, 4, 4)
    off = loss((score, causes + 0.1, maps + 10, features), score, causes, maps, features)
    assert float(off) == pytest.approx(2.0, rel=1e-4)


@torch.no_grad()
def test_what_is_imitated_is_the_student_s_own_answer_to_each_whole_frame(pictures: Path) -> None:
    torch.manual_seed(0)
    student, spec = Imitator().eval(), InputSpec(height=64, width=96)
    imitated = ImitatedFrames(load("csv", pictures)[:20], spec, student)
    frame, score, features = imitated[17]
    assert frame.shape == (64, 96, 3)
    score_again, features_again = student(frame[None])
    assert float(score_again) == pytest.approx(float(score), abs=1e-3)
    assert torch.allclose(features_again[0], features, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_exported_graph_gives_the_tuned_student_s_scores(
    run: Run, exported: Path, tuned: Path, unseen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "int8.onnx"
    done = run("export.qat", "--checkpoint", tuned / "best.pt", "--reference", exported, "--images", unseen,
               "--out", out, "--allow-few", "--max-srcc-drop", "2", "--max-drift", "100",
               "--max-mean-drift", "100")  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = onnx.load(out)
    spec = read_contract(model, out)
    assert (spec.precision, spec.input.height, spec.input.width) == ("int8", 96, 64)
    assert int8_share(model) > 0.95
    assert out.stat().st_size < exported.stat().st_size / 2
    frames = np.random.default_rng(0).integers(0, 256, (3, 96, 64, 3), dtype=np.uint8)
    student, _ = load_quantized(tuned / "best.pt")
    with torch.inference_mode():
        expected = student(torch.from_numpy(frames)).numpy()
    assert np.abs(scores_of(open_engine(out, "onnxruntime").infer(frames)) - expected).max() < 0.5
    assert json.loads(out.with_suffix(".json").read_text())


@pytest.mark.slow
def test_a_broken_budget_leaves_no_model(run: Run, exported: Path, tuned: Path, unseen: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    done = run("export.qat", "--checkpoint", tuned / "best.pt", "--reference", exported, "--images", unseen,
               "--out", out, "--allow-few", "--max-drift", "0")  # fmt: skip
    assert done.returncode == 3
    assert "not written, budget broken" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_it_is_not_verified_on_what_it_learned(
    run: Run, exported: Path, tuned: Path, pictures: Path, tmp_path: Path
) -> None:
    done = run("export.qat", "--checkpoint", tuned / "best.pt", "--reference", exported, "--images", pictures.parent,
               "--out", tmp_path / "int8.onnx", "--allow-few")  # fmt: skip
    assert done.returncode == 2
    assert "0 pictures that the student did not learn from" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_checkpoints_are_not_mistaken_for_each_other(
    run: Run, checkpoint: Path, exported: Path, tuned: Path, unseen: Path, tmp_path: Path
) -> None:
    plain = run("export.qat", "--checkpoint", checkpoint, "--reference", exported, "--images", unseen,
                "--out", tmp_path / "a.onnx")  # fmt: skip
    assert (plain.returncode, "not a checkpoint of train.qat" in plain.stderr) == (2, True)
    quantized = run("export.onnx", "--checkpoint", tuned / "best.pt", "--out", tmp_path / "b.onnx")
    assert (quantized.returncode, "python -m export.qat takes it" in quantized.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


def test_too_few_pictures_are_refused_before_anything_is_written(
    checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    done = _tune(call_module, checkpoint, pictures, tmp_path / "run")
    assert done.returncode == 2
    assert "at least 256 are needed" in done.stderr
    assert not (tmp_path / "run").exists()

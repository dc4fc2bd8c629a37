"""Fine-tuning for INT8: a student keeps its scores when folded, and becomes a model file through the gate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from export.contract import read_contract
from export.sensitivity import int8_share
from runtime.engines import open_engine
from train.quantizers import fold_batch_norms, load_quantized
from train.student import Student

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 48 small pictures, more and more blurred."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = ["image,mos"]
    for number in range(48):
        grain = rng.integers(0, 256, (96, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.GaussianBlur(grain, (0, 0), 0.5 + number / 12))
        rows.append(f"{number}.png,{95 - number}")
    table = folder / "scores.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


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
def test_the_exported_graph_gives_the_tuned_student_s_scores(
    run: Run, exported: Path, tuned: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "int8.onnx"
    done = run("export.qat", "--checkpoint", tuned / "best.pt", "--reference", exported, "--images", pictures.parent,
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
    assert np.abs(open_engine(out, "onnxruntime").infer(frames).score - expected).max() < 0.5
    assert json.loads(out.with_suffix(".json").read_text())


@pytest.mark.slow
def test_a_broken_budget_leaves_no_model(run: Run, exported: Path, tuned: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    done = run("export.qat", "--checkpoint", tuned / "best.pt", "--reference", exported, "--images", pictures.parent,
               "--out", out, "--allow-few", "--max-drift", "0")  # fmt: skip
    assert done.returncode == 3
    assert "not written, budget broken" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_checkpoints_are_not_mistaken_for_each_other(
    run: Run, checkpoint: Path, exported: Path, tuned: Path, pictures: Path, tmp_path: Path
) -> None:
    plain = run("export.qat", "--checkpoint", checkpoint, "--reference", exported, "--images", pictures.parent,
                "--out", tmp_path / "a.onnx")  # fmt: skip
    assert (plain.returncode, "not a checkpoint of train.qat" in plain.stderr) == (2, True)
    quantized = run("export.onnx", "--checkpoint", tuned / "best.pt", "--out", tmp_path / "b.onnx")
    assert (quantized.returncode, "python -m export.qat takes it" in quantized.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


def test_too_few_pictures_are_refused_before_anything_is_written(
    run: Run, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    done = _tune(run, checkpoint, pictures, tmp_path / "run")
    assert done.returncode == 2
    assert "at least 256 are needed" in done.stderr
    assert not (tmp_path / "run").exists()

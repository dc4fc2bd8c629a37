"""The average of students that began alike: its weights, what it may be made of, and what is written about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.errors import InputError
from train import average, student
from train.student_model import Student, load_student

Parts = tuple[Path, Path]


@pytest.fixture(scope="module")
def parts(rated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Two students from the same random weights, by two recipes."""
    train: Any = student.main
    folder = tmp_path_factory.mktemp("parts")
    for name, lr in (("one", 3e-3), ("other", 1e-3)):
        train([f"csv={rated_set}"], folder / name, split="ratio:0", arch="test_efficientnet", size=96, crop=64,
              batch=16, epochs=1, pretrained=False, bf16=False, lr=lr)  # fmt: skip
    return folder / "one" / "best.pt", folder / "other" / "best.pt"


def _average(models: list[Path], table: Path, out: Path) -> Path:
    average.main(models, [f"csv={table}"], out, split="ratio:0")
    return out / "best.pt"


def test_every_weight_is_the_mean_and_the_parts_are_told(parts: Parts, rated_set: Path, tmp_path: Path) -> None:
    mean, about = load_student(_average(list(parts), rated_set, tmp_path / "mean"))
    one, other = (load_student(part)[0].state_dict() for part in parts)
    assert not torch.equal(one["head.1.weight"], other["head.1.weight"])
    for name, weight in mean.state_dict().items():
        if weight.is_floating_point():
            assert torch.allclose(weight, (one[name] + other[name]) / 2, atol=1e-6), name
    assert [entry["name"] for entry in about["trained_on"]] == ["csv"]
    told = json.loads((tmp_path / "mean" / "run.json").read_text())
    assert told["command"] == "train.average"
    assert [part["weights"] for part in told["averaged"]] == [average.weights_sha256(load_student(p)[0]) for p in parts]
    header = (tmp_path / "mean" / "log.csv").read_text().splitlines()[0]
    assert header == "epoch,val_srcc,val_plcc,train_seconds"


def test_the_average_of_one_student_with_itself_is_the_student(parts: Parts, rated_set: Path, tmp_path: Path) -> None:
    same, _ = load_student(_average([parts[0], parts[0]], rated_set, tmp_path / "same"))
    frames = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(same(frames), load_student(parts[0])[0](frames))


def test_heads_are_left_out() -> None:
    found = average.average([Student("test_efficientnet", causes=("blur",)), Student("test_efficientnet", map=True)])
    assert found.outputs == ("score",)


def test_what_cannot_be_averaged_is_one_line(parts: Parts, rated_set: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs two or more"):
        _average([parts[0]], rated_set, tmp_path / "out")
    with pytest.raises(InputError, match="take checkpoints alone or model files alone"):
        average.average([Student("test_efficientnet"), Student("test_efficientnet", fixed_norms=True)])
    assert not (tmp_path / "out").exists()

"""Weights averaged over runs: what the average is, what it leaves as it was, and what cannot be averaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dpiqa.errors import InputError
from dpiqa.train import soup, student
from dpiqa.train.students.averages import estimate_norms, mean_student, towards_imagenet
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student

SPLIT = "ratio:0"


@pytest.fixture(scope="module")
def runs(table: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ in their seed alone."""
    folder = tmp_path_factory.mktemp("runs")
    train: Any = student.main
    for seed in (0, 1):
        train([f"csv={table}"], folder / str(seed), SPLIT, arch="test_efficientnet", size=64, crop=64, batch=16,
              epochs=1, pretrained=False, bf16=False, lr=3e-3, seed=seed, whole=0.5)  # fmt: skip
    return [folder / "0", folder / "1"]


@pytest.mark.slow
def test_the_average_is_of_all_weights_with_its_own_batch_statistics(
    runs: list[Path], table: Path, tmp_path: Path
) -> None:
    average: Any = soup.main
    average(runs, [f"csv={table}"], tmp_path / "soup", SPLIT, crop=64)
    mean, record = load_student(tmp_path / "soup" / "best.pt")
    members = [load_student(run / "best.pt")[0] for run in runs]
    assert not torch.equal(*(one.get_parameter("head.1.weight") for one in members))
    for name, weight in mean.named_parameters():
        expected = torch.stack([one.get_parameter(name) for one in members]).mean(0)
        assert torch.allclose(weight, expected, atol=1e-7), name
    norm = next(part for part in mean.trunk.modules() if isinstance(part, nn.BatchNorm2d))
    assert norm.running_mean is not None
    kept = torch.stack([one.trunk.bn1.running_mean for one in members]).mean(0)
    assert not torch.allclose(norm.running_mean, kept)
    assert record.average
    assert len(record.average.members) == 2
    facts = json.loads((tmp_path / "soup" / "run.json").read_text())
    assert facts["command"] == "train.soup"
    with pytest.raises(InputError, match="holds the checkpoint of another run"):
        average(runs, [f"csv={table}"], tmp_path / "soup", SPLIT, crop=64)


def test_what_was_not_trained_alike_is_not_averaged(runs: list[Path], table: Path, tmp_path: Path) -> None:
    average: Any = soup.main
    with pytest.raises(InputError, match="two runs, or one and --imagenet"):
        average(runs[:1], [f"csv={table}"], tmp_path, SPLIT)
    with pytest.raises(InputError, match="drawn with --split-seed 0, use it here"):
        average(runs, [f"csv={table}"], tmp_path, SPLIT, split_seed=3)
    with pytest.raises(InputError, match="did not learn from it, or with another --split"):
        average(runs, [f"csv={table}"], tmp_path, "ratio:1")
    with pytest.raises(InputError, match="different kinds cannot be averaged: deviations None and True"):
        mean_student([Student("test_efficientnet"), Student("test_efficientnet", deviations=True)])
    assert not list(tmp_path.iterdir())


def test_a_trunk_goes_all_the_way_back_to_imagenet_and_the_head_stays() -> None:
    torch.manual_seed(0)
    tuned, original = Student(), Student()
    original.load_imagenet()
    head = tuned.get_parameter("head.1.weight").clone()
    start = tuned.trunk.conv_stem.weight.clone()
    towards_imagenet(tuned, 0.25)
    between = start + 0.25 * (original.trunk.conv_stem.weight - start)
    assert torch.allclose(tuned.trunk.conv_stem.weight, between, atol=1e-6)
    towards_imagenet(tuned, 1.0)
    weights = zip(tuned.trunk.parameters(), original.trunk.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in weights)
    assert torch.equal(tuned.get_parameter("head.1.weight"), head)


def test_batch_statistics_are_those_of_the_pictures() -> None:
    torch.manual_seed(0)
    tiny = Student("test_efficientnet")
    frames = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    estimate_norms(tiny, [frames, frames])
    with torch.inference_mode():
        pixels = (frames.float().permute(0, 3, 1, 2) - tiny.mean) / tiny.std
        stem = tiny.trunk.conv_stem(pixels)
    assert torch.allclose(tiny.trunk.bn1.running_mean, stem.mean((0, 2, 3)), atol=1e-4)
    assert not tiny.trunk.bn1.training
    assert tiny.trunk.bn1.momentum is not None

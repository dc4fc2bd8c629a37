"""Causes and map taught to a student whose scores must stay: real training on a few pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from export.onnx import export_checkpoint
from runtime.errors import InputError
from train import heads, student
from train.degradations import CAUSES
from train.heads import HeadRecipe, Seen, name_causes
from train.student_model import load_student

Heads = Any  # heads.main, whose options come as a dictionary


@pytest.fixture(scope="module")
def scorer(rated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny student that gives a score alone."""
    train: Any = student.main
    out = tmp_path_factory.mktemp("scorer")
    train([f"csv={rated_set}"], out, split="ratio:0", arch="test_efficientnet", size=96, crop=64, batch=16, epochs=1,
          pretrained=False, bf16=False, lr=3e-3)  # fmt: skip
    return out / "best.pt"


def _teach(start: Path, rated_set: Path, photographs: Path, out: Path, **options: object) -> Path:
    teach: Heads = heads.main
    teach(start, [f"csv={rated_set}"], out, split="ratio:0", pristine=[photographs],
          **({"pictures": 180, "batch": 16, "epochs": 120, "lr": 3e-3} | options))  # fmt: skip
    return out / "best.pt"


def _frames() -> torch.Tensor:
    return torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
@pytest.mark.usefixtures("few_faults")
def test_causes_and_map_are_learned_while_scores_stay_to_the_bit(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path
) -> None:
    taught = _teach(scorer, rated_set, photographs, tmp_path / "taught")
    (before, _), (after, about) = load_student(scorer), load_student(taught)
    assert after.outputs == ("score", "causes", "map")
    with torch.inference_mode():
        assert torch.equal(before(_frames()), after(_frames())[0])
    assert about["frozen"] == ["score"]
    assert [entry["name"] for entry in about["trained_on"]] == ["csv", photographs.name]
    log = pd.read_csv(taught.parent / "log.csv").iloc[-1]
    assert log["val_cause"] > 0.4  # chance is a third at best: three causes are shown, and ten are known
    looked = (taught.parent / "seen.pt").stat().st_mtime_ns
    longer = _teach(scorer, rated_set, photographs, taught.parent, epochs=121)
    assert (longer.parent / "seen.pt").stat().st_mtime_ns == looked
    with pytest.raises(InputError, match=r"seen\.pt: of another start, recipe or data"):
        _teach(scorer, rated_set, photographs, taught.parent, pictures=190)
    again = _teach(taught, rated_set, photographs, tmp_path / "again")
    same = load_student(again)
    assert same[1]["trained_on"] == about["trained_on"]
    for name, weight in same[0].state_dict().items():
        assert torch.equal(weight, after.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("few_faults")
def test_a_model_file_is_taught_and_few_rated_pictures_are_seen_several_times(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(heads.load_packed.__globals__["PRESETS"], "lite0", ("test_efficientnet", 96))
    file = tmp_path / "scorer.onnx"
    export_checkpoint(scorer, file, "scorer", "1.0.0", "MIT")
    taught = _teach(file, rated_set, photographs, tmp_path / "taught", pictures=300)  # 25 batches, 14 a pass
    with torch.inference_mode():
        expected = load_student(scorer)[0](_frames())
        assert torch.allclose(load_student(taught)[0](_frames())[0], expected, atol=0.01)


def test_what_fills_no_batch_is_one_line(scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not fill one batch, use a smaller --batch"):
        _teach(scorer, rated_set, photographs, tmp_path / "out", batch=400)
    assert not (tmp_path / "out").exists()


def test_naming_separates_what_was_seen() -> None:
    torch.manual_seed(0)
    cause = torch.arange(60) % 3
    seen = Seen(torch.nn.functional.one_hot(cause, 5) + 0.1 * torch.randn(60, 5), cause, torch.ones(60), 0.0, 0.0)
    head = torch.nn.Linear(5, len(CAUSES))
    loss = name_causes(head, seen, HeadRecipe(cause_batch=10, epochs=60, lr=0.05))
    assert loss < 0.5
    assert (head(seen.summaries).argmax(1) == cause).all()

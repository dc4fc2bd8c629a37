"""Causes and map taught to a student whose scores must stay: real training on a few pictures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dpiqa.errors import InputError
from dpiqa.export.graphs.student import export_checkpoint
from dpiqa.runtime.spec import InputSpec
from dpiqa.train import heads, student
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.distortions.frames import DistortedFrames
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import CAUSES
from dpiqa.train.loop.recipe import HeadRecipe
from dpiqa.train.students.files import load_student
from dpiqa.train.students.heads import Features, draw_batches, train_causes, train_map
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS

Heads = Any  # heads.main, whose options come as a dictionary


@pytest.fixture(scope="module")
def scorer(rated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny student that gives a score alone."""
    return _train(rated_set, tmp_path_factory.mktemp("scorer"))


def _train(rated_set: Path, out: Path) -> Path:
    train: Any = student.main
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
@pytest.mark.usefixtures("few_distortions")
def test_causes_and_map_are_learned_while_scores_stay_to_the_bit(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path
) -> None:
    taught = _teach(scorer, rated_set, photographs, tmp_path / "taught")
    (before, _), (after, record) = load_student(scorer), load_student(taught)
    assert after.outputs == ("score", "causes", "map")
    with torch.inference_mode():
        assert torch.equal(before(_frames()), after(_frames())[0])
    assert record.frozen == ("score",)
    assert [entry.name for entry in record.trained_on] == ["csv", photographs.name]
    log = pd.read_csv(taught.parent / "log.csv").iloc[-1]
    assert log["val_cause"] > 0.4  # chance is a third at best: three causes occur, of ten
    again = _teach(taught, rated_set, photographs, tmp_path / "again")
    assert load_student(again)[1].trained_on == record.trained_on
    written = (taught.parent / "seen.pt").stat().st_mtime_ns
    from_features = _teach(scorer, rated_set, photographs, taught.parent)
    assert (from_features.parent / "seen.pt").stat().st_mtime_ns == written
    for same in (again, from_features):
        for name, weight in load_student(same)[0].state_dict().items():
            assert torch.equal(weight, after.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_features_of_another_run_are_refused(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = _teach(scorer, rated_set, photographs, tmp_path / "out", pictures=24, epochs=1).parent
    before = (out / "best.pt").read_bytes()
    short = {"pictures": 24, "epochs": 1}
    other_mos = rated_set.with_name("other.csv")
    other_mos.write_text(rated_set.read_text().replace(",95,", ",94,"))
    other_photographs = tmp_path / "other" / photographs.name
    shutil.copytree(photographs, other_photographs)
    shutil.copy(rated_set.with_name("0.png"), other_photographs / "0.png")
    refused = partial(pytest.raises, InputError, match=r"seen\.pt: of another start, recipe or data")
    with refused():
        _teach(scorer, rated_set, photographs, out, pictures=27, epochs=1)
    with refused():
        _teach(scorer, other_mos, photographs, out, **short)
    with refused():
        _teach(scorer, rated_set, other_photographs, out, **short)
    with refused():
        defocus = DISTORTIONS["defocus"]
        monkeypatch.setitem(DISTORTIONS, "defocus", replace(defocus, strengths=defocus.strengths[::-1]))
        _teach(scorer, rated_set, photographs, out, **short)
    assert (out / "best.pt").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_a_folder_holds_one_run(scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(scorer.parent, tmp_path / "scorer")
    with pytest.raises(InputError, match="holds the checkpoint of another run, choose another --out"):
        _teach(scorer, rated_set, photographs, copy)
    taught = _teach(scorer, rated_set, photographs, tmp_path / "taught", pictures=24, epochs=1).parent
    with pytest.raises(InputError, match=r"best\.pt was written with another recipe, model or data"):
        _train(rated_set, taught)


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_what_diverges_and_what_finds_no_room_is_one_line(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="the loss is nan, use a smaller --lr"):
        _teach(scorer, rated_set, photographs, tmp_path / "diverged", pictures=48, lr=1e30)
    assert not list((tmp_path / "diverged").iterdir())
    full = tmp_path / "full"
    full.mkdir()
    (full / "seen.tmp").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"seen\.pt: cannot be written"):
        _teach(scorer, rated_set, photographs, full, pictures=24)
    assert not list(full.iterdir())


def test_another_trunk_than_the_checkpoints_is_one_line(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"best\.pt: a student with test_efficientnet, not --arch resnet18"):
        _teach(scorer, rated_set, photographs, tmp_path / "out", arch="resnet18")


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_a_model_file_is_taught_and_few_rated_pictures_are_used_several_times(
    scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "lite0", ("test_efficientnet", 96))
    file = tmp_path / "scorer.onnx"
    export_checkpoint(scorer, file, "scorer", "1.0.0", "MIT")
    taught = _teach(file, rated_set, photographs, tmp_path / "taught", pictures=300)  # 25 batches, 14 a pass
    features = torch.load(taught.with_name("seen.pt"), weights_only=True)["seen"]
    assert len(features[0]) == 300
    with torch.inference_mode():
        expected = load_student(scorer)[0](_frames())
        assert torch.allclose(load_student(taught)[0](_frames())[0], expected, atol=0.01)


def test_what_fills_no_batch_is_one_line(scorer: Path, rated_set: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not fill one batch, use a smaller --batch"):
        _teach(scorer, rated_set, photographs, tmp_path / "out", batch=400)
    with pytest.raises(InputError, match="fewer than two rated pictures in a batch of 4, use a larger --batch"):
        _teach(scorer, rated_set, photographs, tmp_path / "out", batch=4)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_the_map_learns_from_its_batches(rated_set: Path, photographs: Path) -> None:
    torch.manual_seed(0)
    recipe = HeadRecipe(batch=16, lr=0.02)
    crops = RatedFrames(load("csv", rated_set), InputSpec(height=96, width=96), 64)
    (batch,) = draw_batches(DistortedFrames(crops, [sorted(photographs.iterdir())], recipe.share), recipe, 1)
    learner = Student("test_efficientnet", causes=CAUSES, map=True)
    learner.freeze(learner.trunk, learner.head)
    learner.train()
    first = train_map(learner, [batch], recipe, 1).map_loss
    train_map(learner, [batch] * 100, recipe, 100)
    assert train_map(learner, [batch], recipe, 1).map_loss < 0.7 * first


def test_the_cause_head_separates_features() -> None:
    torch.manual_seed(0)
    cause = torch.arange(60) % 3
    features = Features(
        torch.nn.functional.one_hot(cause, 5) + 0.1 * torch.randn(60, 5), cause, torch.ones(60), 0.0, 0.0
    )
    head = torch.nn.Linear(5, len(CAUSES))
    loss = train_causes(head, features, HeadRecipe(cause_batch=10, epochs=60, lr=0.05))
    assert loss < 0.5
    assert (head(features.values).argmax(1) == cause).all()

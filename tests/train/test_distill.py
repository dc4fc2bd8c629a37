"""From a teacher to its cache to a student: real models of a few thousand parameters, real files, real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from dpiqa.errors import InputError
from dpiqa.export.graphs.student import export_student, parity_error
from dpiqa.runtime.spec import InputSpec
from dpiqa.train import distill, teacher_cache
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import RatedFrames, View
from dpiqa.train.data.splits import split
from dpiqa.train.data.terms import TrainingData
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.loop.losses import paper_loss, quality_loss
from dpiqa.train.loop.recipe import DistillationWeights
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS
from dpiqa.train.teachers.cache import TeacherCache
from dpiqa.train.teachers.distillation import _score_loss, distillation_loss
from dpiqa.train.teachers.frames import TaughtFrames, collect_samples, region
from dpiqa.train.teachers.model import load_teacher

SPLIT = "ratio:0"


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, rated_set: Path) -> Path:
    """A folder `more` of 20 pictures and copies of all rated ones, test pictures among them."""
    folder = shutil.copytree(rated_set.parent, tmp_path_factory.mktemp("unlabelled") / "more")
    _write_pictures(folder / "new", 20)
    return folder


def _write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(9)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (40, 50, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def cache(teacher_file: Path, rated_set: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cached") / "cache"
    teacher_cache.main([f"csv={rated_set}"], out, teacher_file, unlabelled=[unlabelled], split=SPLIT, batch=8)
    return out


@pytest.fixture(scope="module", autouse=True)
def _tiny_preset() -> None:
    PRESETS["tiny"] = ("test_efficientnet", 96)


def _distill(cache: Path, table: Path, out: Path, unlabelled: Path | None, **options: object) -> Path:
    small = {"preset": "tiny", "crop": 64, "batch": 8, "pretrained": False, "bf16": False, "epochs": 1} | options
    distill.main(cache, [f"csv={table}"], out, [unlabelled] if unlabelled else None, **small)  # type: ignore[arg-type]
    return out / "best.pt"


def test_no_test_picture_gets_into_the_cache(cache: Path, rated_set: Path) -> None:
    index = TeacherCache(cache).index
    held_out = {sample.path.name for sample in split(load("csv", rated_set), SPLIT).test}
    assert len(held_out) == 16
    assert not held_out & set(index["image"][index["source"] == "csv"])
    assert index["part"].value_counts().to_dict() == {"train": 57, "unlabelled": 20, "val": 7}
    assert index["sha256"].is_unique


@pytest.mark.slow
def test_a_killed_cache_goes_on_with_nothing_lost_or_doubled(
    cache: Path, teacher_file: Path, rated_set: Path, unlabelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    command = [sys.executable, "-m", "train.teacher_cache", "--teacher", str(teacher_file), "--data",
               f"csv={rated_set}", "--unlabelled", str(unlabelled), "--split", SPLIT, "--batch", "1"]  # fmt: skip
    victim = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not out.exists() or len(TeacherCache(out).missing()) == 84:
        assert victim.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    half = TeacherCache(out)
    done = np.flatnonzero(np.isfinite(half.scores))
    assert 0 < len(done) < 84
    teacher_cache.main([f"csv={rated_set}"], out, teacher_file, unlabelled=[unlabelled], split=SPLIT, batch=8)
    whole, straight = TeacherCache(out), TeacherCache(cache)
    assert len(whole.missing()) == 0
    assert np.array_equal(whole.scores[done], half.scores[done])
    assert np.allclose(whole.scores, straight.scores, atol=1e-2)
    assert all(np.allclose(whole.map(row), straight.map(row), rtol=1e-2, atol=1e-3) for row in range(84))
    assert whole.index.equals(straight.index)


def test_the_cache_holds_the_teachers_outputs(cache: Path, teacher_file: Path, rated_set: Path) -> None:
    cached, (model, _) = TeacherCache(cache), load_teacher(teacher_file)
    row = 5
    picture = rated_set.parent / cached.index["image"][row]
    sample = next(sample for sample in load("csv", rated_set) if sample.path == picture)
    frame, _ = RatedFrames([sample], model.input)[0]
    with torch.inference_mode():
        score, quality = model(frame[None])
    assert abs(float(score[0]) - cached.scores[row]) < 1e-2
    assert cached.scores.std() > 1
    assert np.allclose(quality[0], cached.map(row), rtol=1e-3, atol=1e-4)


def test_another_teacher_and_other_data_do_not_go_on_with_a_cache(
    cache: Path, teacher_file: Path, rated_set: Path, unlabelled: Path, tmp_path: Path
) -> None:
    whole = torch.load(teacher_file, weights_only=True)
    whole["ema"]["decoder.to_score.0.bias"] += 1
    torch.save(whole, tmp_path / "other.pt")
    data = [f"csv={rated_set}"]
    with pytest.raises(InputError, match="a cache of another teacher"):
        teacher_cache.main(data, cache, tmp_path / "other.pt", unlabelled=[unlabelled], split=SPLIT)
    with pytest.raises(InputError, match="a cache of another data"):
        teacher_cache.main(data, cache, teacher_file, unlabelled=None, split=SPLIT)
    with pytest.raises(InputError, match="trained on csv with --split ratio:0, use the same here"):
        teacher_cache.main(data, cache, teacher_file, unlabelled=None, split="ratio:1")


def test_sources_of_one_name_or_without_new_pictures_are_refused(
    teacher_file: Path, rated_set: Path, tmp_path: Path
) -> None:
    data = f"csv={rated_set}"
    with pytest.raises(InputError, match="two sources are called 'csv'"):
        teacher_cache.main([data, data], tmp_path / "cache", teacher_file, unlabelled=None, split=SPLIT)
    copies = tmp_path / "copies"
    copies.mkdir()
    shutil.copy(rated_set.parent / "3.png", copies)
    with pytest.raises(InputError, match="every picture in it also belongs to a rated data set"):
        teacher_cache.main([data], tmp_path / "cache", teacher_file, unlabelled=[copies], split=SPLIT)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_a_student_learns_from_labels_and_teacher_and_is_a_plain_student(
    cache: Path, rated_set: Path, unlabelled: Path, tmp_path: Path
) -> None:
    best = _distill(cache, rated_set, tmp_path / "run", unlabelled, epochs=3)
    losses = [float(line.split(",")[1]) for line in (best.parent / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.9 * losses[0]
    trained, record = load_student(best)
    assert set(trained.state_dict()) == set(Student("test_efficientnet").state_dict())
    assert record.trained_on == (TrainingData(name="csv", split=SPLIT, images=57),)
    assert record.distillation
    assert record.distillation.unlabelled == 20
    export_student(trained, record.input, tmp_path / "student.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    assert parity_error(trained, tmp_path / "student.onnx", frames) < 0.05


@pytest.mark.slow
def test_a_student_learns_distortions_beside_the_teachers_outputs(
    cache: Path, rated_set: Path, unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(DISTORTIONS) - {"defocus", "colour_cast"}:
        monkeypatch.delitem(DISTORTIONS, name)
    best = _distill(cache, rated_set, tmp_path / "run", unlabelled, distortions=0.4, pristine_mos=50, batch=16, steps=2)
    trained, record = load_student(best)
    assert trained.outputs == ("score", "causes", "map")
    assert record.distortions
    assert record.distortions.pristine[0].name == "best rated"
    header, row = (line.split(",") for line in (best.parent / "log.csv").read_text().splitlines())
    assert np.isfinite(float(row[header.index("loss")]))
    assert {"val_order", "val_cause", "val_map"} < set(header)


def test_a_run_does_not_go_on_with_other_weights(cache: Path, rated_set: Path, tmp_path: Path) -> None:
    _distill(cache, rated_set, tmp_path, None, steps=1)
    with pytest.raises(InputError, match="another recipe, model or data"):
        _distill(cache, rated_set, tmp_path, None, steps=1, map_weight=0.5)


def test_bad_requests_are_one_line_and_write_nothing(
    cache: Path, rated_set: Path, unlabelled: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    with pytest.raises(InputError, match="unknown preset 'lite9', known: paper, lite0"):
        _distill(cache, rated_set, run, None, preset="lite9")
    with pytest.raises(InputError, match="--crop 128 is larger than --size 96"):
        _distill(cache, rated_set, run, None, crop=128)
    with pytest.raises(InputError, match="nothing to learn"):
        _distill(cache, rated_set, run, None, score_weight=0, teacher_weight=0, map_weight=0, ranking_weight=0)
    with pytest.raises(InputError, match="holds no pictures of 'other', its sources: csv, more"):
        _distill(cache, rated_set, run, _write_pictures(other, 3))
    half = shutil.copytree(cache, tmp_path / "half")
    scores = np.load(half / "scores.npy")
    scores[5:] = np.nan
    np.save(half / "scores.npy", scores)
    with pytest.raises(InputError, match=r"79 of 84 pictures have no score yet, run train\.teacher_cache again"):
        _distill(half, rated_set, run, None)
    assert not run.exists()


def test_a_cache_of_other_pictures_is_refused_by_name(cache: Path, rated_set: Path, tmp_path: Path) -> None:
    shutil.copytree(rated_set.parent, tmp_path / "rated")
    table, names = tmp_path / "rated" / "scores.csv", TeacherCache(cache).index["image"].tolist()
    shutil.copy(tmp_path / "rated" / names[1], tmp_path / "rated" / names[0])
    with pytest.raises(InputError, match=f"other data, 1 pictures of csv changed since: {names[0]}"):
        _distill(cache, table, tmp_path / "run", None)
    table.write_text(
        "".join(line for line in table.read_text().splitlines(True) if not line.startswith(names[2] + ","))
    )
    with pytest.raises(InputError, match=f"other data, 1 of its 64 pictures of csv .*: {names[2]}"):
        _distill(cache, table, tmp_path / "run", None)


def test_every_picture_is_used_equally_often(cache: Path, rated_set: Path, unlabelled: Path) -> None:
    opened = TeacherCache(cache)
    samples, rows, val = collect_samples(opened, [("csv", rated_set)], [unlabelled])
    assert (len(samples), len(val)) == (77, 7)
    assert sum(np.isnan([sample.mos for sample in samples])) == 20
    frames = TaughtFrames(samples, rows, opened, InputSpec(height=96, width=96), crop=64, length=100)
    taught = []
    for frames.epoch in range(3):
        taught += [round(float(frames[index][2]), 5) for index in range(100)]
    each = {round(float(score), 5) for score in opened.scores[rows]}
    counts = [taught.count(score) for score in each]
    assert len(each) == 77
    assert set(counts) == {3, 4}


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_is_taught_the_map_where_it_lies(mirrored: bool) -> None:
    y, x = torch.meshgrid((torch.arange(64) + 0.5) / 64, (torch.arange(64) + 0.5) / 64, indexing="ij")
    spec = InputSpec(height=96, width=128)
    part = region(torch.stack([y, x]), View(24, 32, mirrored), 48, spec)
    assert part.shape == (2, 32, 24)
    down = (24 + 48 * (torch.arange(32) + 0.5) / 32) / 96
    across = (32 + 48 * (torch.arange(24) + 0.5) / 24) / 128
    assert torch.allclose(part[0], down[:, None].expand(32, 24), atol=1e-5)
    assert torch.allclose(part[1], (across.flip(0) if mirrored else across).expand(32, 24), atol=1e-5)


def test_with_labels_alone_the_loss_is_the_one_of_training_on_mos() -> None:
    torch.manual_seed(0)
    score, mos, taught = (100 * torch.rand(8) for _ in range(3))
    maps, sure = torch.randn(8, 8, 5, 5), torch.ones(8)
    predicted = torch.randn(8, 8, 10, 10)
    loss = distillation_loss((score, predicted), mos, taught, maps, sure, DistillationWeights(teacher=0, map=0))
    assert torch.isclose(loss, quality_loss(score, mos))


def test_pictures_without_mos_are_taught_by_the_teacher_alone() -> None:
    torch.manual_seed(0)
    mos, taught = 100 * torch.rand(6), 100 * torch.rand(6)
    mos[3:], sure = torch.nan, torch.ones(6)
    score = (100 * torch.rand(6)).requires_grad_()
    predicted, maps = torch.randn(6, 8, 4, 4, requires_grad=True), torch.randn(6, 8, 4, 4)
    distillation_loss(
        (score, predicted), mos, taught, maps, sure, DistillationWeights(teacher=0, map=0, ranking=0)
    ).backward()
    assert score.grad is not None
    assert (score.grad[:3] != 0).all()
    assert (score.grad[3:] == 0).all()
    loss = distillation_loss((score, predicted), mos * torch.nan, taught, maps, sure, DistillationWeights(ranking=0))
    assert torch.isclose(loss, _score_loss(score, taught) + functional.smooth_l1_loss(predicted, maps))
    ranked = distillation_loss((taught, maps), mos * torch.nan, taught, maps, sure, DistillationWeights())
    assert ranked < 0.25 * distillation_loss(
        (taught.flip(0), maps), mos * torch.nan, taught, maps, sure, DistillationWeights()
    )


def test_what_a_rater_is_unsure_of_counts_less() -> None:
    """The last picture, whose score is far from the rater's, has no say when the rater knows nothing of it."""
    taught, score = torch.tensor([10.0, 30.0, 50.0, 90.0]), torch.tensor([10.0, 30.0, 50.0, 20.0])
    unrated, no_map = torch.full((4,), torch.nan), torch.empty(4, 0)
    losses = [
        distillation_loss((score, torch.zeros(4, 8, 2, 2)), unrated, taught, no_map, torch.tensor([1.0, 1, 1, last]),
                          DistillationWeights(map=0)).item() for last in (1.0, 0.2, 0.0)
    ]  # fmt: skip
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] == pytest.approx(0, abs=1e-5)


def test_the_papers_loss_is_the_squared_error_of_score_and_maps_one_to_one() -> None:
    score, taught, mos = torch.tensor([20.0, 60.0]), torch.tensor([40.0, 70.0]), torch.full((2,), torch.nan)
    predicted, maps = torch.zeros(2, 8, 4, 4), torch.full((2, 8, 4, 4), 3.0)
    loss = distillation_loss((score, predicted), mos, taught, maps, torch.ones(2), DistillationWeights(ranking=0),
                             squared=True)  # fmt: skip
    assert loss.item() == pytest.approx((2**2 + 1**2) / 2 + 3**2)
    assert paper_loss(score, taught).item() == pytest.approx((2**2 + 1**2) / 2)  # in the right order, wide apart


@pytest.fixture(scope="module")
def ratings(rated_set: Path, unlabelled: Path) -> Path:
    """A rater's table: of the rated set as its MOS says, more and more unsure, and of the folder `more` too."""
    rows = ["image,score,std"]
    rows += [f"{sample.path},{sample.mos},{sample.path.stem}" for sample in load("csv", rated_set)]
    rows += [f"{path},50," for path in sorted(unlabelled.rglob("*.png"))]
    table = rated_set.with_name("ratings.csv")
    table.write_text("\n".join(rows) + "\n")
    return table


def test_any_rater_teaches_a_student_by_its_certainty(
    ratings: Path, rated_set: Path, unlabelled: Path, tmp_path: Path
) -> None:
    data, out = [f"csv={rated_set}"], tmp_path / "cache"
    teacher_cache.main(data, out, scores=ratings, unlabelled=[unlabelled], split=SPLIT)
    teacher_cache.main(data, out, scores=ratings, unlabelled=[unlabelled], split=SPLIT)  # is there already
    opened = TeacherCache(out)
    assert not opened.has_maps
    samples, rows, _ = collect_samples(opened, [("csv", rated_set)], [unlabelled])
    frames = TaughtFrames(samples, rows, opened, InputSpec(height=96, width=96), crop=64)
    items = [frames[index] for index in range(len(frames))]
    assert {(float(score), float(certainty)) for _, mos, score, _, certainty in items if torch.isnan(mos)} == {(50, 1)}
    expected = sorted(1 / (1 + (int(sample.path.stem) / 10) ** 2) for sample in samples if sample.mos == sample.mos)
    certainties = sorted(float(certainty) for _, mos, _, _, certainty in items if not torch.isnan(mos))
    assert certainties == pytest.approx(expected)  # half at ten points, a fifth at twenty
    best = _distill(out, rated_set, tmp_path / "run", unlabelled, loss="paper")
    trained, record = load_student(best)
    assert trained.outputs == ("score",)
    assert record.distillation
    assert (record.distillation.weights.map, record.distillation.loss) == (0, "paper")
    with pytest.raises(InputError, match="name one source of scores"):
        teacher_cache.main(data, out, split=SPLIT)
    more = ratings.with_name("more.csv")
    more.write_text(ratings.read_text().replace(",50,", ",51,"))
    with pytest.raises(InputError, match="a cache of another teacher"):
        teacher_cache.main(data, out, scores=more, unlabelled=[unlabelled], split=SPLIT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mos\na.png,5\n", "column 'score' is missing, expected image,score"),
        ("image,score\na.png,101\n", "line 2: score is '101', expected a number, 0 to 100"),
        ("image,score,std\na.png,5,-1\n", "line 2: std is '-1', expected a number, 0 or more"),
        ("image,score\na.png,5\na.png,5\n", "line 3: a.png is rated twice"),
        ("image,score\na.png,\n", "line 2: score is ''"),
        ("image,score\na.png,5\n", "64 of 64 pictures have no score: "),
    ],
)
def test_bad_ratings_are_one_line_and_write_nothing(rated_set: Path, tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "ratings.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        teacher_cache.main([f"csv={rated_set}"], tmp_path / "cache", scores=table, split=SPLIT)
    assert not (tmp_path / "cache").exists()


def test_imagenet_weights_that_only_a_hub_has_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="no ImageNet weights for mobilenetv4_conv_small: timm's hub cannot"):
        Student(PRESETS["mobilenetv4"][0]).load_imagenet()

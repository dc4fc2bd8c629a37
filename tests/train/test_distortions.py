"""Distorted frames: reproducible, different from the clean picture only where they say so; their losses and metrics."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train import student
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import CollectedFrames, RatedFrames
from dpiqa.train.distortions.frames import (
    REGIONAL,
    DistortedFrames,
    Ladder,
    changed_cells,
    distorted_pair,
    distortion_region,
)
from dpiqa.train.distortions.kinds.base import CAUSES
from dpiqa.train.distortions.losses import (
    MAP_MARGIN,
    SCORE_MARGIN,
    MixedLoss,
    cause_loss,
    map_level_loss,
    map_place_loss,
    order_loss,
    severity,
)
from dpiqa.train.distortions.metrics import ladder_metrics
from dpiqa.train.distortions.plan import plan_distortions
from dpiqa.train.distortions.pristine import BEST_RATED, collect_pristine
from dpiqa.train.loop.losses import regression_loss
from dpiqa.train.loop.recipe import DistortionWeights
from dpiqa.train.loop.record import PristineSource
from dpiqa.train.students.files import load_student, with_heads
from dpiqa.train.students.model import Student

SPEC = InputSpec(height=96, width=96)


def _frames(rated_set: Path, photographs: Path, epoch: int = 0) -> DistortedFrames:
    samples = load("csv", rated_set)
    pristine = collect_pristine([photographs], samples, 90, seed=0)
    frames = DistortedFrames(RatedFrames(samples, SPEC, crop=64, seed=0), pristine.train, fraction=0.4)
    frames.epoch = epoch
    return frames


def test_pristine_pictures_are_held_out_by_group_and_recorded(rated_set: Path, photographs: Path) -> None:
    samples = load("csv", rated_set)
    pristine = collect_pristine([photographs], samples, least_mos=90, seed=0)
    learned = {path for source in pristine.train for path in source}
    assert not learned & set(pristine.val)
    assert pristine.sources == [
        PristineSource(name=photographs.name, images=11),
        PristineSource(name=BEST_RATED, images=9),
    ]
    good = {sample.path for sample in samples if sample.mos >= 90}
    assert learned | set(pristine.val) == good | set(photographs.glob("*.png"))
    with pytest.raises(InputError, match="six in a folder"):
        collect_pristine([], samples[:8], 90, seed=0)
    with pytest.raises(InputError, match=r"--pristine .*: no such folder"):
        collect_pristine([photographs / "absent"], samples, 90, seed=0)


def test_broken_and_like_named_photographs_are_refused(photographs: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "one" / "good", tmp_path / "two" / "good"):
        shutil.copytree(photographs, folder)
    with pytest.raises(InputError, match="--pristine: two folders are called 'good'"):
        collect_pristine([tmp_path / "one" / "good", tmp_path / "two" / "good"], [], 90, seed=0)
    best_rated = shutil.copytree(photographs, tmp_path / "best rated")
    with pytest.raises(InputError, match="a folder called 'best rated'"):
        collect_pristine([best_rated], [], 90, seed=0)
    os.truncate(tmp_path / "one" / "good" / "3.png", 500)
    with pytest.raises(InputError, match=r"good: 1 of 12 pictures are broken: .*3\.png"):
        collect_pristine([tmp_path / "one" / "good"], [], 90, seed=0)


def test_every_batch_holds_whole_groups_and_every_rated_picture_comes_once(rated_set: Path, photographs: Path) -> None:
    frames = _frames(rated_set, photographs)
    batches = frames.batches(16, np.random.default_rng(0))
    assert batches.shape == (8, 16)
    rated, distorted = batches[:, :10], batches[:, 10:]
    assert sorted(rated.ravel()) == sorted(set(rated.ravel()))
    assert rated.max() < len(frames) == 80
    assert (distorted.ravel() == 80 + np.arange(48)).all()
    with pytest.raises(
        InputError, match=r"a fraction of 0\.4 distorted pictures leaves fewer than two rated pictures in a batch of 4"
    ):
        frames.batches(4, np.random.default_rng(0))


@pytest.mark.usefixtures("few_distortions")
def test_frames_depend_on_seed_epoch_and_index_alone(rated_set: Path, photographs: Path) -> None:
    first, again, later = (_frames(rated_set, photographs, epoch) for epoch in (0, 0, 1))
    order = list(range(80, 92))
    one = [first[index] for index in order]
    other = [again[index] for index in reversed(order)][::-1]
    for ours, theirs in zip(one, other, strict=True):
        assert all(torch.equal(a.nan_to_num(-9), b.nan_to_num(-9)) for a, b in zip(ours, theirs, strict=True))
    assert any(not torch.equal(first[index][0], later[index][0]) for index in order)


@pytest.mark.usefixtures("few_distortions")
def test_a_group_is_one_crop_clean_and_at_two_levels_changed_where_it_says(rated_set: Path, photographs: Path) -> None:
    frames = _frames(rated_set, photographs)
    for start in range(80, 110, 3):
        (clean, mos, group, none, cause, unchanged), *distorted = (frames[start + role] for role in range(3))
        assert mos.isnan()
        assert (float(none), float(unchanged.abs().max())) == (0, 0)
        levels = [float(level) for _, _, _, level, _, _ in distorted]
        assert 1 <= levels[0] < levels[1] <= 5
        for frame, _, same_group, _, same_cause, changed in distorted:
            assert (int(same_group), int(same_cause)) == (int(group), int(cause))
            assert changed.shape == (8, 8)
            difference = (frame.int() - clean.int()).abs().float().mean(2).reshape(8, 8, 8, 8).mean((1, 3))
            assert torch.allclose(difference, changed, atol=0.01)


def test_rated_items_are_those_of_the_rated_set(rated_set: Path, photographs: Path) -> None:
    frames, plain = _frames(rated_set, photographs, 2), RatedFrames(load("csv", rated_set), SPEC, crop=64, seed=0)
    plain.epoch = 2
    frame, mos, group, level, cause, changed = frames[5]
    assert torch.equal(frame, plain[5][0])
    assert (float(mos), int(group), float(level), int(cause)) == (float(plain[5][1]), -1, 0, -1)
    assert not changed.any()


def test_distorted_items_belong_to_no_collection(rated_set: Path, photographs: Path) -> None:
    samples = load("csv", rated_set)
    pictures = collect_pristine([photographs], samples, 90, seed=0).train
    frames = DistortedFrames(CollectedFrames(samples, SPEC, crop=64, seed=0), pictures, fraction=0.4)
    (_, mos, collection, group, *_), (_, no_mos, none, distorted_group, *_) = frames[5], frames[len(frames)]
    assert (float(mos), int(collection), int(group)) == (samples[5].mos, 0, -1)
    assert no_mos.isnan()
    assert (int(none), none.dtype, int(distorted_group)) == (-1, collection.dtype, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(REGIONAL - {"h264", "hevc"})))
def test_a_region_leaves_the_rest_of_the_picture_alone(seed: int, name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    clean, distorted = distorted_pair(image, name, 5, seed, regional=True)
    outside = distortion_region((64, 96), seed) == 0
    assert (clean == image).all()
    assert 0.2 < outside.mean() < 0.95
    assert (distorted[outside] == image[outside]).all()
    assert changed_cells(clean, distorted).max() > 1


def test_severity_grows_with_the_level_and_shrinks_where_little_is_visible() -> None:
    changed = torch.zeros(4, 8, 8)
    changed[:2] = 9
    changed[2, :1] = 9
    assert severity(torch.tensor([1.0, 5, 5, 5]), changed).tolist() == pytest.approx([0.2, 1, 0.5, 0])


def test_order_loss_is_nothing_where_scores_fall_by_the_margin() -> None:
    group, severities = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0.4, 1, 0, 0.2])
    falling = torch.tensor([80, 79 - 0.4 * SCORE_MARGIN, 70 - SCORE_MARGIN, 10, 9 - 0.2 * SCORE_MARGIN])
    assert order_loss(falling, group, severities) == 0
    score = torch.full((5,), 50.0, requires_grad=True)
    order_loss(score, group, severities).backward()
    assert score.grad is not None
    assert (score.grad[[0, 3]] < 0).all()
    assert (score.grad[[2, 4]] > 0).all()


def test_cause_loss_pulls_the_named_cause_up_and_all_others_down() -> None:
    causes = torch.full((2, len(CAUSES)), 0.3, requires_grad=True)
    cause_loss(causes, torch.tensor([2, 4]), torch.tensor([1.0, 0.0])).backward()
    assert causes.grad is not None
    down = causes.grad > 0
    assert not down[0, 2]
    assert down.sum() == 2 * len(CAUSES) - 1
    certain = torch.zeros(1, 3)
    assert cause_loss(certain, torch.tensor([0]), torch.tensor([0.0])) < 1e-4


def test_map_losses_ask_for_the_level_and_for_the_place() -> None:
    maps, mos = torch.full((2, 4, 4), 60.0), torch.tensor([60.0, torch.nan])
    assert map_level_loss(maps, mos) == 0
    assert map_level_loss(maps, mos - 20) > 1
    assert map_level_loss(maps, mos * torch.nan) == 0
    group, level = torch.tensor([3, 3]), torch.tensor([0.0, 5.0])
    changed = torch.zeros(2, 4, 4)
    changed[1, :2] = 20
    right = maps.clone()
    right[1, :2] -= MAP_MARGIN
    assert map_place_loss(right, group, level, changed) == 0
    assert map_place_loss(maps, group, level, changed) == pytest.approx(MAP_MARGIN / 10)
    everywhere = torch.stack([maps[0], maps[0] - MAP_MARGIN])
    assert map_place_loss(everywhere, group, level, changed) > 1
    assert map_place_loss(maps[:1], group[:1], level[:1], changed[:1]) == 0


@pytest.mark.parametrize("omitted", ["order", "causes", "map"])
def test_a_weight_of_0_leaves_its_loss_out(omitted: str) -> None:
    torch.manual_seed(0)
    rated, distorted = torch.tensor([1, 1, 0, 0, 0]) > 0, torch.tensor([0, 0, 1, 1, 1]) > 0
    outputs = {"score": 100 * torch.rand(5), "causes": torch.rand(5, 10), "map": 100 * torch.rand(5, 4, 4)}
    mos = torch.tensor([30.0, 70, torch.nan, torch.nan, torch.nan])
    group, level = torch.where(distorted, 0, -1), torch.tensor([0.0, 0, 0, 2, 5])
    cause, changed = torch.where(distorted, 3, -1), torch.where(distorted, 9.0, 0.0)[:, None, None].expand(5, 4, 4)
    targets = (mos, group, level, cause, changed)

    def loss(names: tuple[str, ...], weights: DistortionWeights) -> torch.Tensor:
        whole = MixedLoss(names, lambda outputs, mos: regression_loss(outputs["score"], mos), weights)
        return whole(tuple(outputs[name] for name in names), *targets)

    names = ("score", "causes", "map")
    rest = tuple(name for name in names if name != omitted)
    actual = loss(rest, DistortionWeights(**{omitted: 0.0}))
    parts = {
        "order": order_loss(outputs["score"][distorted], group[distorted], severity(level, changed)[distorted]),
        "causes": cause_loss(outputs["causes"][distorted], cause[distorted], severity(level, changed)[distorted]),
        "map": map_level_loss(outputs["map"][rated], mos[rated])
        + map_place_loss(outputs["map"][distorted], group[distorted], level[distorted], changed[distorted]),
    }
    expected = regression_loss(outputs["score"][rated], mos[rated])
    expected = expected + sum(part for name, part in parts.items() if name != omitted)
    assert actual == pytest.approx(float(expected), rel=1e-4)
    assert loss(names, DistortionWeights()) == pytest.approx(float(expected + parts[omitted]), rel=1e-4)


def test_metrics_count_order_causes_and_where_the_map_falls() -> None:
    steps = Ladder.STEPS
    score = torch.tensor([90.0, 80, 70, 60, 50, 55, 52] * 2)
    causes = torch.zeros(2 * steps, 3)
    causes[:steps, 1] = causes[steps:, 2] = 1
    cause = torch.tensor([1] * steps + [0] * steps)
    maps, changed = torch.full((2 * steps, 4, 4), 80.0), torch.zeros(2 * steps, 4, 4)
    changed[steps - 1, :2] = 9
    maps[steps - 1, :2], maps[steps - 1, 2:] = 30, 75
    metrics = ladder_metrics({"score": score, "causes": causes, "map": maps}, cause, changed, steps)
    assert metrics == pytest.approx({"val_order": 0.8, "val_cause": 0.5, "val_map": 45})
    assert ladder_metrics({"score": score}, cause, changed, steps).keys() == {"val_order"}


def test_options_that_contradict_each_other_are_refused(rated_set: Path, photographs: Path) -> None:
    samples = load("csv", rated_set)
    assert plan_distortions(0, None, 70, DistortionWeights(), samples, 0) is None
    with pytest.raises(InputError, match=r"add for instance --distortions 0\.3"):
        plan_distortions(0, [photographs], 70, DistortionWeights(), samples, 0)
    with pytest.raises(InputError, match="leave --distortions out"):
        plan_distortions(0.3, [photographs], 70, DistortionWeights(0, 0, 0), samples, 0)


def test_heads_come_and_go_and_the_rest_stays() -> None:
    plain = Student("test_efficientnet")
    whole = with_heads(plain, {"causes": CAUSES, "map": True})
    assert whole.outputs == ("score", "causes", "map")
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(whole.eval()(frames)[0], plain.eval()(frames))
        assert torch.equal(with_heads(whole, {}).eval()(frames), plain(frames))
        assert whole(frames)[2].shape == (2, 8, 8)
    with pytest.raises(InputError, match="names other causes: blur, motion"):
        with_heads(whole, {"causes": ("rain",)})


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
def test_a_student_learns_causes_and_a_map_beside_scores(rated_set: Path, photographs: Path, tmp_path: Path) -> None:
    def train(out: Path, **options: object) -> Path:
        small = {"split": "ratio:0", "arch": "test_efficientnet", "size": 96, "crop": 64, "batch": 16, "epochs": 2,
                 "pretrained": False, "bf16": False, "lr": 3e-3, "distortions": 0.4,
                 "pristine": [photographs]}  # fmt: skip
        student.main([f"csv={rated_set}"], out, **(small | options))  # type: ignore[arg-type]
        return out

    run = train(tmp_path / "run")
    trained, record = load_student(run / "best.pt")
    assert trained.causes == CAUSES
    assert record.distortions
    assert record.distortions.fraction == 0.4
    header, *epochs = (line.split(",") for line in (run / "log.csv").read_text().splitlines())
    assert {"val_order", "val_cause", "val_map"} < set(header)
    assert float(epochs[-1][1]) < float(epochs[0][1])
    started = train(tmp_path / "started", start=run / "best.pt", arch=None, cause_weight=0, epochs=1)
    assert load_student(started / "best.pt")[0].outputs == ("score", "map")

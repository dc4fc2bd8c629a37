"""The search for a recipe: its losses are the project's, its networks students, its parts whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.students.model import Student

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from recipe_search.losses import recipe_loss
from recipe_search.network import CountedDropout, build
from recipe_search.parts import Picture, load_store, made_store, write_parts
from recipe_search.plans import carry_out
from recipe_search.recipe import Recipe, combine, stage1
from recipe_search.results import Results
from recipe_search.schedule import draw, variants_of
from recipe_search.search import Search
from recipe_search.trainer import Device, Trainer

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"frame": 64, "crop": 48, "batch": 8}


@pytest.mark.parametrize("collections", [[0, 1, 2], [0, 2], [1]])
@pytest.mark.parametrize("seed", range(3))
def test_masked_loss_and_its_gradient_are_those_of_training(collections: list[int], seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    mos = (100 * torch.rand(32, generator=rng)).round()
    collection = torch.tensor(collections)[torch.randint(len(collections), (32,), generator=rng)]
    collection[:2] = 2 if len(collections) > 1 else 1  # a set that may be too small to compare
    offset = torch.zeros(3)
    for compare, given in (("within", collection), ("all", None)):
        score = (100 * torch.rand(32, generator=rng)).requires_grad_()
        wanted = quality_loss(score, mos, given)
        found = recipe_loss(Recipe(compare=compare), score, mos, collection, 3, offset)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(*(torch.autograd.grad(loss, score)[0] for loss in (found, wanted)))


@pytest.mark.parametrize("changes", [{"regression": "offset"}, {"regression": "deviation"}, {"ranking": "fidelity"}])
def test_gradients_are_finite_where_all_scores_are_equal(changes: dict[str, Any]) -> None:
    score, offset = torch.full((8,), 50.0, requires_grad=True), torch.zeros(3, requires_grad=True)
    recipe_loss(Recipe(**changes), score, torch.arange(8.0), torch.zeros(8, dtype=torch.long), 3, offset).backward()
    assert score.grad is not None
    assert score.grad.isfinite().all()


def test_offsets_take_up_what_collections_differ_in() -> None:
    collection = torch.tensor([0] * 6 + [1] * 6)
    mos = torch.arange(12.0) + 20 * collection
    recipe = Recipe(regression="offset")
    moved = recipe_loss(recipe, mos - 20 * collection, mos, collection, 3, torch.tensor([0.0, 0.2, 0.0]))
    plain = recipe_loss(recipe, mos - 20 * collection, mos, collection, 3, torch.zeros(3))
    assert moved < 0.01 < plain


def test_weights_load_into_a_student_that_says_the_same() -> None:
    network = build(Recipe(), {}).eval()
    student = Student().eval()
    student.load_state_dict(network.state_dict())
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames), student(frames))


def test_dropout_drops_its_share_and_other_features_at_each_step() -> None:
    drop = CountedDropout(0.3).train()
    drop.key = torch.tensor(7)
    first = drop(torch.ones(64, 256))
    assert abs((first == 0).float().mean() - 0.3) < 0.02
    assert abs(first.mean() - 1) < 0.02
    drop.key.add_(1)
    assert abs(((first == 0) == (drop(torch.ones(64, 256)) == 0)).float().mean() - 0.58) < 0.03


@pytest.mark.parametrize("recipe", stage1(), ids=lambda recipe: recipe.name)
def test_every_recipe_draws_a_schedule_within_its_frames(recipe: Recipe) -> None:
    store = made_store(recipe.frame_sizes(), CPU, 60)
    trained, measured = store.divide("leave:ss02")
    assert not set(trained) & set(measured)
    plan = draw(recipe, store, trained, 0)
    assert set(plan.variants) <= set(variants_of(recipe))
    assert np.isin(plan.arrays["index"], trained).all()
    for variant, top, left in zip(plan.variants, plan.arrays["top"], plan.arrays["left"], strict=True):
        assert max(top.max(), left.max()) + variant.crop <= variant.frame
    if recipe.sampling == "collection":
        counts = np.bincount(store.collections_here[plan.arrays["index"]].ravel(), minlength=3)
        assert counts[1] == 0
        assert abs(counts[0] - counts[2]) <= 1


def test_parts_hold_the_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for place in range(12):
        path = tmp_path / f"{place}.jpg"
        assert cv2.imwrite(str(path), rng.integers(0, 256, (90, 80, 3), dtype=np.uint8))
        source = "flive_voc" if place < 3 else "biq2021"
        rows.append((Picture(path.name, source, float(place), f"ss0{place % 3}", str(place), place % 4 == 0), path))
    room = 2**20 + 4 * rows[0][1].stat().st_size
    assert len(write_parts(rows, tmp_path, room)) > 2
    store = load_store(tmp_path, {32, 64}, {64}, CPU)
    assert {side: len(frames) for side, frames in store.frames.items()} == {32: 9, 64: 12}
    assert [picture.name for picture in store.pictures] == [f"{place % 12}.jpg" for place in range(3, 15)]
    assert store.divide("full")[1].tolist() == [1, 5]
    assert store.abroad().tolist() == [9, 10, 11]


def test_pull_and_frozen_trunk_keep_the_trunk() -> None:
    recipe = Recipe(**SMALL, frozen=1.0, warmup=0.1)
    store = made_store({64}, CPU, 60)
    trainer = Trainer(recipe, store, Device(CPU), {})
    plan = draw(recipe, store, store.divide("full")[0], 0, 3)
    trainer.prepare(plan, len(plan))
    for _ in trainer.run(plan, 0):
        pass
    names = [name for name, value in trainer.network.state_dict().items() if value.is_floating_point()]
    moved = {name.partition(".")[0] for name, value, start in zip(names, trainer.values, trainer.start, strict=True)
             if not torch.equal(value, start)}  # fmt: skip
    assert moved == {"head"}


@pytest.mark.slow
def test_warming_up_stays_within_frames_of_every_size_and_leaves_no_trace() -> None:
    recipe = Recipe(frame=96, crop=64, batch=4, sizes=(64, 80, 96), whole=0.3, frozen=0.3)
    store = made_store(recipe.frame_sizes(), CPU, 60)
    trainer = Trainer(recipe, store, Device(CPU), {})
    plan = draw(recipe, store, store.divide("full")[0], 0, 2)
    trainer.prepare(plan, len(plan))
    for variant in variants_of(recipe):
        trainer.warm(variant)
    trainer.load(plan, 0)
    for value, kept, start in zip(trainer.values, trainer.kept, trainer.start, strict=True):
        assert torch.equal(value, start)
        assert torch.equal(kept, start)
    assert trainer.counter.item() == 0


def test_norms_estimated_anew_are_means_over_the_batches() -> None:
    recipe = Recipe(frame=64, crop=64, batch=8, epochs=16)
    store = made_store({64}, CPU, 60)
    trainer = Trainer(recipe, store, Device(CPU), {})
    plan = draw(recipe, store, store.divide("full")[0], 0)
    for _ in trainer.norms_anew(trainer.ema, plan, batches=2):
        pass
    found = trainer.ema.trunk.bn1.running_mean
    chosen = torch.from_numpy(plan.arrays["index"].reshape(-1)[:256])
    frames = (store.frames[64][chosen].float().permute(0, 3, 1, 2) - trainer.ema.mean) / trainer.ema.std
    torch.testing.assert_close(found, trainer.ema.trunk.conv_stem(frames).mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not trainer.ema.trunk.bn1.training


@pytest.mark.slow
def test_a_search_writes_rows_averages_and_weights_and_goes_on(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(
        '[{"name": "base", "frame": 64, "crop": 48, "batch": 8, "epochs": 1},'
        '{"name": "other", "frame": 64, "crop": 48, "batch": 8, "epochs": 1, "regression": "offset", "mixstyle": 0.5,'
        '"tone": 1, "grey": 0.2, "pull": 10, "whole": 0.4}]'
    )
    out = tmp_path / "rows.csv"
    for rows in (40, 40):
        search = Search(made_store({64}, CPU, 60), Device(CPU), Results(out, "none"), {}, 2, 3, tmp_path / "states")
        carry_out(search, [str(plan)], 2, 0.0, 1e9, tmp_path)
        table = pd.read_csv(out)
        assert (table["status"] == "ok").all()
        assert set(table["kind"]) == {"trained", "interpolated", "soup", "ensemble"}
        assert len(table) >= rows
    assert not table.duplicated(["recipe", "kind", "seed", "alpha", "condition"]).any()
    assert len(list(tmp_path.glob("best*.pt"))) == 4
    kept = torch.load(next(tmp_path.glob("best0_*.pt")), weights_only=True)
    Student().load_state_dict(kept["state"])


def test_combinations_grow_and_pass_over_what_clashes() -> None:
    known = {recipe.name: recipe for recipe in stage1()}
    found = combine([known["pull10"], known["offset"], known["pull30"], known["mixstyle"]])
    assert [recipe.name for recipe in found] == ["pull10+offset", "pull10+offset+mixstyle"]

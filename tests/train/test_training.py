"""Training for real, on small pictures: it learns, it survives SIGKILL to the bit, it refuses what it cannot use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import call_module, run_module
from PIL import Image

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import load
from dpiqa.train.data.frames import CollectedFrames, RatedFrames
from dpiqa.train.loop.checkpoint import State
from dpiqa.train.loop.fit import _schedule
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import RunRecord, TeacherConfig
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.schedules import diffusion_recipe

TRAVELLING = ("--deviations", "--offsets", "--whole", "0.4")


def _command(table: Path, out: Path, *options: str) -> list[str]:
    small = ["--size", "96", "--crop", "64", "--batch", "8"]
    return [
        sys.executable,
        "-m",
        "train.student",
        "--data",
        f"csv={table}",
        "--split",
        "ratio:0",
        "--out",
        str(out),
        *small,
        *options,
    ]


def _train(table: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_module(*_command(table, out, *options)[2:])


def _trained_here(table: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call_module(*_command(table, out, *options)[2:])


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "best.pt", weights_only=True)["ema"]


@pytest.fixture(scope="module")
def trained(rated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    done = _train(rated_set, out, "--epochs", "3", *TRAVELLING)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_it_learns_and_leaves_its_log_and_curves(trained: Path) -> None:
    lines = (trained / "log.csv").read_text().splitlines()
    assert len(lines) == 4
    first, last = (float(line.split(",")[1]) for line in (lines[1], lines[-1]))
    assert last < 0.8 * first
    assert np.asarray(Image.open(trained / "history.png")).std() > 5
    assert json.loads((trained / "run.json").read_text())["recipe"]["epochs"] == 3


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_weights(rated_set: Path, trained: Path, tmp_path: Path) -> None:
    command = [*_command(rated_set, tmp_path, "--epochs", "3", *TRAVELLING), "--save-every", "2"]
    for kills in range(2):
        victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        written = (tmp_path / "last.pt").stat().st_mtime_ns if kills else 0
        deadline = time.monotonic() + 120
        while not (tmp_path / "last.pt").exists() or (tmp_path / "last.pt").stat().st_mtime_ns == written:
            assert victim.poll() is None, victim.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
        saved = torch.load(tmp_path / "last.pt", weights_only=True)
        assert saved["epoch"] < 3
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    facts = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path, trained)]
    assert facts[0]["metrics_sha256"] == facts[1]["metrics_sha256"]
    resumed, straight = _weights(tmp_path), _weights(trained)
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


@pytest.mark.slow
def test_another_recipe_does_not_continue_a_run(rated_set: Path, trained: Path) -> None:
    done = _train(rated_set, trained, "--epochs", "9")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("choose another --out to start anew")
    assert json.loads((trained / "run.json").read_text())["recipe"]["epochs"] == 3


@pytest.mark.slow
def test_a_diverging_run_is_stopped(rated_set: Path, tmp_path: Path) -> None:
    done = _train(rated_set, tmp_path, "--epochs", "3", "--lr", "1e30")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("train with a smaller --lr and another --out")
    assert not (tmp_path / "best.pt").exists()


@pytest.mark.slow
def test_collections_are_ranked_by_themselves_by_default(rated_set: Path, tmp_path: Path) -> None:
    """Two collections of unlike pictures: what is compared changes what is learned, and is part of the recipe."""
    table = rated_set.with_name("collected.csv")
    header, *rows = rated_set.read_text().splitlines()
    lines = [f"{header},collection", *(f"{row},{'ab'[place % 2]}" for place, row in enumerate(rows))]
    table.write_text("\n".join(lines) + "\n")
    short = ["--epochs", "1", "--arch", "test_efficientnet", "--no-pretrained"]
    for name, options in (("within", []), ("across", ["--across-collections"])):
        done = _train(table, tmp_path / name, *short, *options)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / name / "run.json").read_text())["across_collections"] == (name == "across")
    one, other = (_weights(tmp_path / name)["head.1.weight"] for name in ("within", "across"))
    assert not torch.equal(one, other)
    refused = _train(table, tmp_path / "within", *short, "--across-collections")
    assert refused.returncode == 2
    assert "another recipe, model or data" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "official"], "no official test part"),
        (["--crop", "128"], "--crop 128 is larger than --size 96"),
        (["--data", "csv=/nowhere.csv"], "/nowhere.csv does not exist"),
        (["--arch", "nonsense"], "nonsense: no trunk of timm"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
def test_bad_command_is_one_line_and_writes_nothing(
    rated_set: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = _trained_here(rated_set, tmp_path / "run", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "last.tmp").symlink_to("/dev/full")
    state = State({"model": torch.nn.Linear(300, 300)}, Recipe(), _teacher("sd15", "/here"))
    with pytest.raises(InputError, match=r"last\.pt: cannot be written, no space left on device"):
        state.save(tmp_path / "last.pt")
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    state = State({"model": torch.nn.Linear(3, 3)}, Recipe(), _teacher("sd15", "/here"))
    state.save(tmp_path / "last.pt")
    os.truncate(tmp_path / "last.pt", 99)
    with pytest.raises(InputError, match=r"last\.pt: damaged, remove it"):
        state.load(tmp_path / "last.pt")


def test_a_run_resumes_when_the_release_of_its_prior_was_moved(tmp_path: Path) -> None:
    model = {"model": torch.nn.Linear(3, 3)}
    State(model, Recipe(), _teacher("sd15", "/here")).save(tmp_path / "last.pt")
    State(model, Recipe(), _teacher("sd15", "/there")).load(tmp_path / "last.pt")
    with pytest.raises(InputError, match="another recipe, model or data"):
        State(model, Recipe(), _teacher("sd14", "/here")).load(tmp_path / "last.pt")


def _teacher(prior: str, weights: str) -> RunRecord:
    config = TeacherConfig(prior=prior, weights=weights, size=512, width=512)
    return RunRecord(teacher=config, input=InputSpec(height=512, width=512), trained_on=())


@pytest.mark.parametrize("epochs", [1, 4, 60])
def test_steps_of_the_rate_lie_where_the_preset_says_whatever_the_number_of_epochs(epochs: int) -> None:
    recipe = replace(diffusion_recipe("koniq10k"), epochs=epochs)
    shares = [_schedule(step, 8, recipe) for step in range(8 * epochs)]
    assert shares[: 4 * epochs] == [1.0] * (4 * epochs)
    assert shares[4 * epochs : 6 * epochs] == [0.2] * (2 * epochs)
    assert shares[6 * epochs :] == pytest.approx([0.04] * (2 * epochs))


def test_crops_keep_the_native_scale_and_depend_on_seed_epoch_and_index_alone(rated_set: Path) -> None:
    samples = load("csv", rated_set)
    spec = InputSpec(height=96, width=96)
    whole, crops = RatedFrames(samples, spec), RatedFrames(samples, spec, crop=64, seed=1)
    frame, crop = whole[3][0].numpy(), crops[3][0].numpy()
    places = [frame[y : y + 64, x : x + 64] for y in range(33) for x in range(33)]
    assert any(np.array_equal(crop, place) or np.array_equal(crop, place[:, ::-1]) for place in places)
    assert np.array_equal(crop, RatedFrames(samples, spec, crop=64, seed=1)[3][0].numpy())
    crops.epoch = 1
    assert not np.array_equal(crop, crops[3][0].numpy())


def test_collected_frames_are_the_same_with_the_number_of_their_collection(rated_set: Path) -> None:
    samples = [replace(sample, collection="ba"[place % 2]) for place, sample in enumerate(load("csv", rated_set))]
    spec = InputSpec(height=96, width=96)
    plain, collected = RatedFrames(samples, spec, crop=64, seed=1), CollectedFrames(samples, spec, crop=64, seed=1)
    for place, number in ((3, 0), (4, 1)):  # by name: 'a' is 0
        frame, mos, collection = collected[place]
        assert torch.equal(frame, plain[place][0])
        assert (float(mos), int(collection)) == (float(plain[place][1]), number)


def test_untrained_student_starts_in_the_middle_of_the_scale() -> None:
    frames = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        score = Student().eval()(frames)
    assert score.shape == (4,)
    assert ((score > 30) & (score < 70)).all()


def test_imagenet_weights_fill_the_whole_trunk() -> None:
    student = Student()
    before = {name: value.clone() for name, value in student.trunk.state_dict().items()}
    student.load_imagenet()
    changed = {name for name, value in student.trunk.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if not name.endswith("num_batches_tracked")}


def test_not_a_checkpoint(tmp_path: Path) -> None:
    from dpiqa.errors import InputError

    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"no")
    with pytest.raises(InputError, match="not a checkpoint"):
        load_student(bad)
    with pytest.raises(InputError, match="no such file"):
        load_student(tmp_path / "absent.pt")

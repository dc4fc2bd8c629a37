"""The diffusion teacher through its commands, on a tiny release: it trains, goes on and comes back."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import SPLIT, ended, teach
from torch import Tensor

from dpiqa.train import distill, teacher, teacher_cache
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.data.splits import load_parts
from dpiqa.train.evaluation.scores import score_samples
from dpiqa.train.loop.fit import fit
from dpiqa.train.loop.losses import regression_loss
from dpiqa.train.loop.metrics import srcc
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.students.files import load_student
from dpiqa.train.students.presets import PRESETS
from dpiqa.train.teachers.cache import TeacherCache
from dpiqa.train.teachers.model import build_teacher, load_teacher, of_scores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _one_thread(kept_prompts: None) -> Iterator[None]:
    """As the processes that a test starts: sums are added up in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


def _kept(out: Path, part: str = "ema", name: str = "last.pt") -> dict[str, Tensor]:
    return torch.load(out / name, weights_only=True)[part]


def _log(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "log.csv")


@pytest.fixture(scope="module")
def trained(release: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "teacher"
    assert ended(teacher.main, teach(release, table, out)) == (0, [])
    return out


def test_it_trains_and_its_checkpoint_scores_as_it_did_then(trained: Path, table: Path) -> None:
    log = _log(trained)
    assert len(log) == 2
    assert log["loss"].map(math.isfinite).all()
    best = log.loc[(log["val_srcc"] + log["val_plcc"]).idxmax()]
    val = load_parts([f"csv={table}"], SPLIT, 0)[0].val
    scores = score_samples(trained / "best.pt", val)
    assert srcc(scores, np.array([sample.mos for sample in val])) == pytest.approx(best["val_srcc"])
    torch.manual_seed(7)  # nothing is drawn
    assert (score_samples(trained / "best.pt", val) == scores).all()


def test_what_should_learn_has_learnt_and_nothing_else(trained: Path, release: Path) -> None:
    torch.manual_seed(0)
    before = build_teacher("sd15", 64, 8, str(release))
    learning = {name for name, weight in before.named_parameters() if weight.requires_grad}
    begun, ended = before.state_dict(), _kept(trained, "model")
    assert ended.keys() == begun.keys()
    changed = {name for name in begun if not torch.equal(begun[name], ended[name])}
    assert changed <= learning
    assert {name for name in learning - changed if "gate" not in name and "attn1.to_" not in name} == set()
    loaded: Any = load_teacher(trained / "best.pt")[0]
    released = load_file(release / "vae/diffusion_pytorch_model.safetensors")
    vae = loaded.prior.vae.net.state_dict()
    assert all(torch.equal(vae[name], value) for name, value in released.items())


def test_killed_run_goes_on_to_the_same_bits(trained: Path, release: Path, table: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.teacher", *teach(release, table, tmp_path, "--save-every", "1")]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / "last.pt").exists():
        assert victim.poll() is None, "finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) < (2, 0)
    assert ended(teacher.main, teach(release, table, tmp_path, "--save-every", "1")) == (0, [])
    resumed, straight = _kept(tmp_path), _kept(trained)
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_two_processes_learn_as_one(trained: Path, release: Path, table: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, "-m", "train.teacher", *teach(release, table, tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"2 x ' in (tmp_path / "run.json").read_text()
    assert done.stdout.count("best epoch on validation") == 1
    one, two = _log(trained), _log(tmp_path)
    assert two["loss"].tolist() == pytest.approx(one["loss"].tolist(), rel=1e-3)


def test_processes_that_find_other_checkpoints_do_not_start(
    trained: Path, release: Path, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "0").mkdir()
    shutil.copy(trained / "last.pt", tmp_path / "0")
    options = shlex.join(teach(release, table, Path("OUT"))).replace("OUT", f"{tmp_path}/$RANK")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    done = subprocess.run(
        [*launch, "bash", "-c", f"exec {sys.executable} -m train.teacher {options}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert done.stderr.count("the processes see different checkpoints there; all must share one folder") == 2
    assert not (tmp_path / "1" / "last.pt").exists()


def test_a_batch_in_parts_is_learnt_as_a_whole(release: Path, table: Path, tmp_path: Path) -> None:
    """With a loss that looks at single pictures, as ranking does not."""
    losses = {}
    for parts in (1, 4):
        torch.manual_seed(0)
        model = build_teacher("sd15", 64, 8, str(release))
        whole, _ = load_parts([f"csv={table}"], SPLIT, 0)
        train, val = (RatedFrames(part, model.input) for part in (whole.train, whole.val))
        (tmp_path / str(parts)).mkdir()
        record = RunRecord(input=model.input, trained_on=())
        recipe = Recipe(epochs=1, batch=8, lr=1e-3, trunk_lr=1, accumulate=parts)
        fit(model, train, val, recipe, tmp_path / str(parts), record, loss=of_scores(regression_loss))
        losses[parts] = _log(tmp_path / str(parts))["loss"].tolist()
    assert losses[4] == pytest.approx(losses[1], rel=1e-3)


def test_gradient_checkpointing_and_accumulation_train_from_the_command(
    trained: Path, release: Path, table: Path, tmp_path: Path
) -> None:
    options = teach(release, table, tmp_path, "--gradient-checkpointing", "--accumulate", "2", "--ema", "0")
    assert ended(teacher.main, options) == (0, [])
    assert _log(tmp_path)["loss"].map(math.isfinite).all()


def test_the_three_commands_lead_to_a_student(
    trained: Path, release: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = shutil.copy(trained / "best.pt", tmp_path / "best.pt")
    moved, cache, out = shutil.copytree(release, tmp_path / "moved"), tmp_path / "cache", tmp_path / "student"
    data = ["--data", f"csv={table}"]
    options = ["--teacher", str(checkpoint), *data, "--split", SPLIT, "--out", str(cache), "--weights", str(moved)]
    assert ended(teacher_cache.main, options) == (0, [])
    held = TeacherCache(cache)
    whole, _ = load_parts([f"csv={table}"], SPLIT, 0)
    scores = score_samples(trained / "best.pt", whole.train + whole.val)
    assert np.allclose(held.scores, scores, atol=1e-3)
    monkeypatch.setitem(PRESETS, "tiny", ("test_efficientnet", 64))
    small = ["--preset", "tiny", "--crop", "64", "--batch", "8", "--epochs", "1", "--no-pretrained", "--no-bf16"]
    assert ended(distill.main, ["--cache", str(cache), *data, "--out", str(out), *small]) == (0, [])
    distillation = load_student(out / "best.pt")[1].distillation
    assert distillation
    assert distillation.teacher == held.contents.teacher

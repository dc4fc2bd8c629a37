"""From rated pictures to figures, to the contract and the card: what is written is what was measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from export.card import targets_table, unseen_part
from runtime import Scorer
from runtime.errors import InputError
from train.contract import load_model, read_contract

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty rated pictures, noise of several contrasts."""
    folder = tmp_path_factory.mktemp("rated")
    rng, rows = np.random.default_rng(0), ["image,mos,split"]
    for number in range(30):
        noise = 128 + rng.normal(0, 4 + 3 * number, (96, 96, 3))
        cv2.imwrite(str(folder / f"{number}.png"), np.clip(noise, 0, 255).astype(np.uint8))
        rows.append(f"{number}.png,{90 - 2 * number},{'test' if number % 2 else 'train'}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")
    return folder / "scores.csv"


def _evaluate(run: Run, model: Path, table: Path, split: str, folder: Path) -> dict[str, Any]:
    done = run("train.evaluate", "--json", "--model", model, "--data", f"csv={table}", "--split", split,
               "--plots", folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / f"{model.stem}_csv.png").stat().st_size > 1000
    (folder / "evaluation.json").write_text(done.stdout)
    return json.loads(done.stdout)


def test_figures_are_those_of_the_scores(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    found = _evaluate(run, exported, table, "all", tmp_path)["data"]["csv"]
    scores = [Scorer(exported).score(table.with_name(f"{number}.png")).score for number in range(30)]
    expected = np.corrcoef(np.argsort(np.argsort(scores)), -np.arange(30))[0, 1]
    assert found["images"] == 30
    assert found["srcc"] == pytest.approx(expected, abs=0.01)
    low, high = found["interval_95"]["srcc"]
    assert low <= found["srcc"] <= high


def test_checkpoint_and_model_file_agree(
    run: Run, checkpoint: Path, exported: Path, table: Path, tmp_path: Path
) -> None:
    torch_figures, onnx_figures = (
        _evaluate(run, file, table, "official", tmp_path)["data"]["csv"] for file in (checkpoint, exported)
    )
    assert torch_figures["images"] == onnx_figures["images"] == 15
    assert torch_figures["rmse"] == pytest.approx(onnx_figures["rmse"], abs=0.02)


def _run_folder(folder: Path) -> Path:
    facts = {"student": {"arch": "tiny"}, "start": "random weights", "recipe": {"epochs": 1}, "parameters": 1,
             "hardware": "none", "faults": {"share": 0.3, "weights": {"order": 1, "map": 0.5},
                                            "pristine": [{"name": "clic", "images": 37}]}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "log.csv").write_text("epoch,loss,val_srcc,val_plcc,train_seconds\n1,0.5,0.8,0.9,60\n")
    (folder / "targets.csv").write_text("data,srcc_at_least,int8_loses_at_most,source\ncsv,1.1,,nobody\n")
    (folder / "notes.md").write_text("## Notes\n")
    return folder


def _card(run: Run, model: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    inputs = ["--evaluation", folder / "evaluation.json", "--run", folder, "--targets", folder / "targets.csv"]
    return run("export.card", "--model", model, *inputs, "--notes", folder / "notes.md", "--out", folder / "card.md")


def test_card_and_contract_repeat_the_figures(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    shutil.copy(exported, model)
    found = _evaluate(run, model, table, "ratio:0", tmp_path)["data"]["csv"]
    done = _card(run, model, _run_folder(tmp_path))
    assert done.returncode == 0, done.stderr
    (entry,) = read_contract(load_model(model), model).evaluated_on
    assert (entry.name, entry.split, entry.images) == ("csv", "ratio:0", found["images"])
    assert entry.srcc == found["srcc"]
    written = (tmp_path / "card.md").read_text()
    assert f"| tiny.onnx | csv, ratio:0 | {found['images']} | {found['srcc']:.3f} (" in written
    assert f"SRCC at least 1.1 (nobody) | {found['srcc']:.4f} | **missed** |" in written
    assert "starting from random weights: epochs 1" in written
    assert "were 30% of every batch, on clic (37); weights: order 1, map 0.5." in written


def test_figures_of_other_weights_are_refused(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    shutil.copy(exported, model)
    result = _evaluate(run, model, table, "ratio:0", tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps(result | {"weights_sha256": "0" * 64}))
    before = model.read_bytes()
    done = _card(run, model, _run_folder(tmp_path))
    assert done.returncode == 2
    assert done.stderr.strip().endswith("none of the evaluations is of this file")
    assert model.read_bytes() == before
    assert not (tmp_path / "card.md").exists()


def test_pictures_that_training_may_have_seen_are_refused(exported: Path) -> None:
    spec = read_contract(load_model(exported), exported)
    assert unseen_part(spec, "clive", "all") == "all pictures, none seen in training"
    assert unseen_part(spec, "csv", "ratio:0") == "ratio:0"
    for split in ("all", "ratio:1", "official"):
        with pytest.raises(InputError, match="pictures may be the same"):
            unseen_part(spec, "csv", split)


def test_targets_are_compared_with_what_was_found() -> None:
    results = [{"model": model, "data": {"set": {"srcc": srcc}}} for model, srcc in (("a", 0.80), ("b", 0.79))]
    rows = [("set", 0.75, 0.02, "x"), ("set", 0.85, 0.003, "y")]
    targets = pd.DataFrame(rows, columns=["data", "srcc_at_least", "int8_loses_at_most", "source"])
    ends = [line.split("|")[-2].strip() for line in targets_table(["a", "b"], results, targets).splitlines()[2:]]
    assert ends == ["met", "met", "**missed**", "**missed**"]
    with pytest.raises(InputError, match="not all models were evaluated"):
        targets_table(["a", "c"], results, targets)

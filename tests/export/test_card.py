"""From rated pictures to metrics, to the contract and the card: what is written is what was measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from forked import Run, call_module

from dpiqa.errors import InputError
from dpiqa.export.cards.distortions import causes_table
from dpiqa.export.cards.tables import collect_metrics, targets_table, unseen_part
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.train.model_files import load_model, read_contract


@pytest.fixture
def run() -> Run:
    return call_module


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


@pytest.mark.slow
def test_metrics_are_those_of_the_scores(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    metrics = _evaluate(run, exported, table, "all", tmp_path)["data"]["csv"]
    engine = open_engine(exported, "onnxruntime")  # what the network says: some of these pictures are void
    pictures = [read_picture(table.with_name(f"{number}.png")) for number in range(30)]
    scores = [engine.infer(to_input(picture, engine.spec.input)[None])[0].score for picture in pictures]
    expected = np.corrcoef(np.argsort(np.argsort(scores)), -np.arange(30))[0, 1]
    assert metrics["images"] == 30
    assert metrics["srcc"] == pytest.approx(expected, abs=0.01)
    low, high = metrics["interval_95"]["srcc"]
    assert low <= metrics["srcc"] <= high


@pytest.mark.slow
def test_checkpoint_and_model_file_agree(
    run: Run, checkpoint: Path, exported: Path, table: Path, tmp_path: Path
) -> None:
    torch_metrics, onnx_metrics = (
        _evaluate(run, file, table, "official", tmp_path)["data"]["csv"] for file in (checkpoint, exported)
    )
    assert torch_metrics["images"] == onnx_metrics["images"] == 15
    assert torch_metrics["rmse"] == pytest.approx(onnx_metrics["rmse"], abs=0.02)


@pytest.mark.slow
def test_another_engine_gives_the_same_metrics_and_is_named(
    run: Run, exported: Path, table: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO, pip install '.[openvino]'")
    options = ["--json", "--model", exported, "--data", f"csv={table}", "--plots", tmp_path]
    reference, other = (
        json.loads(run("train.evaluate", *options, "--engine", engine).stdout) for engine in ("onnxruntime", "openvino")
    )
    assert other["engine"].startswith("openvino ")
    assert other["data"]["csv"]["rmse"] == pytest.approx(reference["data"]["csv"]["rmse"], abs=0.02)


def _run_folder(folder: Path) -> Path:
    distortions = {"share": 0.3, "weights": {"order": 1, "map": 0.5}, "pristine": [{"name": "clic", "images": 37}]}
    record = {"student": {"arch": "tiny"}, "start": "random weights", "recipe": {"epochs": 1, "batch": 32},
             "parameters": 1, "hardware": "none", "metrics_sha256": "0abc", "faults": distortions}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "log.csv").write_text("epoch,loss,val_srcc,val_plcc,train_seconds\n1,0.5,0.8,0.9,60\n")
    (folder / "targets.csv").write_text("figure,at_least,at_most,source\ncsv SRCC,1.1,,nobody\n")
    (folder / "notes.md").write_text("## Notes\n")
    return folder


def _heads_folder(folder: Path) -> Path:
    folder.mkdir()
    record = {"command": "train.heads", "start": "a student of weights 0abc", "recipe": {"batch": 32}, "parameters": 2,
             "student": {"arch": "tiny"}, "hardware": "none", "frozen": ["score"]}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "log.csv").write_text("cause_loss,map_loss,val_order,val_cause,train_seconds\n1.5,0.25,0.9,0.7,120\n")
    return folder


def _card(run: Run, model: Path, folder: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    inputs = ["--evaluation", folder / "evaluation.json", "--run", folder, "--targets", folder / "targets.csv"]
    return run(
        "export.card", "--model", model, *inputs, *more, "--notes", folder / "notes.md", "--out", folder / "card.md"
    )


@pytest.mark.slow
def test_card_and_contract_repeat_the_metrics(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    shutil.copy(exported, model)
    metrics = _evaluate(run, model, table, "ratio:0", tmp_path)["data"]["csv"]
    done = _card(run, model, _run_folder(tmp_path))
    assert done.returncode == 0, done.stderr
    (entry,) = read_contract(load_model(model), model).evaluated_on
    assert (entry.name, entry.split, entry.images) == ("csv", "ratio:0", metrics["images"])
    assert entry.srcc == metrics["srcc"]
    written = (tmp_path / "card.md").read_text()
    assert f"| tiny.onnx | csv, ratio:0 | {metrics['images']} | {metrics['srcc']:.3f} (" in written
    assert f"| csv SRCC: at least 1.1 (nobody) | {metrics['srcc']:.4g} | **missed** |" in written
    assert "`0abc`; the same seed" in written
    assert f"one picture at a time, with onnxruntime {onnxruntime.__version__} on " in written
    assert "starting from random weights: epochs 1, batch 32" in written
    assert "Distorted pictures: 9 of 32 in every batch, from clic (37); weights: order 1, map 0.5." in written
    assert "| 1 | 0.500 | 0.8000 | 0.9000 | 1.0 |" in written
    assert written.count("The epoch with the best validation SRCC + PLCC was kept") == 1


def test_a_card_of_two_runs_tells_what_each_logged(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    shutil.copy(exported, model)
    _evaluate(run, model, table, "ratio:0", tmp_path)
    done = _card(run, model, _run_folder(tmp_path), "--run", _heads_folder(tmp_path / "heads"))
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / "card.md").read_text().split("Run 2: `dpiqa train heads`")
    assert "The epoch with the best validation SRCC + PLCC was kept" in first
    assert "The epoch with" not in second
    assert "| cause loss, last epoch | map loss, mean | levels in order | causes right | minutes |" in second
    assert "| 1.500 | 0.250 | 0.9000 | 0.7000 | 2.0 |" in second


def test_metrics_of_other_weights_are_refused(run: Run, exported: Path, table: Path, tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_pictures_that_training_may_have_seen_are_warned_of(
    run: Run, exported: Path, table: Path, tmp_path: Path
) -> None:
    seen, unseen = (
        run("train.evaluate", "--model", exported, "--data", f"csv={table}", "--split", split, "--plots", tmp_path)
        for split in ("all", "ratio:0")
    )
    assert (seen.returncode, unseen.returncode, unseen.stderr) == (0, 0, "")
    assert "warning: csv: " in seen.stderr
    assert f"{exported.name} was trained on part of it (ratio:0), which --split all may not leave out" in seen.stderr


def test_pictures_that_training_may_have_seen_are_refused(exported: Path) -> None:
    spec = read_contract(load_model(exported), exported)
    assert unseen_part(spec, "clive", "all") == "all pictures, none seen in training"
    assert unseen_part(spec, "csv", "ratio:0") == "ratio:0"
    for split in ("all", "ratio:1", "official"):
        with pytest.raises(InputError, match="pictures may be the same"):
            unseen_part(spec, "csv", split)


def test_targets_are_compared_with_what_was_measured() -> None:
    drift = {"drift": {"reference": "a", "mean": 0.4, "largest": 6.0}}
    rows = [("a", 0.80, {}), ("b", 0.79, drift)]
    results = [
        {"model": model, "data": {"set": {"srcc": srcc, "plcc": 0.9, "subsets": {"sub": {"srcc": 0.5}}} | more}}
        for model, srcc, more in rows
    ]
    order = pd.DataFrame([
        {"model": "a", "measure": "order", "name": "all", "value": 0.98, "cause_right": 0.91},
        {"model": "a", "measure": "stability", "name": "one_pixel_shift", "value": 0.7},
    ])  # fmt: skip
    metrics = collect_metrics(["a", "b"], results, [order], {"GMACs": 1.2})
    assert metrics["set SRCC"] == 0.80
    targets = [
        ("set SRCC", 0.75, None, "x", "met"),
        ("set sub SRCC", 0.6, None, None, "**missed**"),
        ("set SRCC loss of INT8", None, 0.003, "", "**missed**"),
        ("set mean drift of INT8", None, 0.5, "", "met"),
        ("set largest drift of INT8", None, 5, "", "**missed**"),
        ("levels in order", 0.99, None, "", "**missed**"),
        ("causes right", 0.9, None, "", "met"),
        ("one pixel shift", None, 1, "", "met"),
        ("GMACs", None, 2.1, "", "met"),
    ]
    aims = pd.DataFrame(targets, columns=["figure", "at_least", "at_most", "source", "expected"])
    lines = targets_table(metrics, aims).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == list(aims["expected"])
    assert lines[0].startswith("| set SRCC: at least 0.75 (x) | 0.8 |")
    with pytest.raises(InputError, match="set KRCC: a target, but not measured; these are: GMACs, set SRCC"):
        targets_table(metrics, pd.DataFrame([("set KRCC", 1, None, "")], columns=list(aims)[:4]))


def test_causes_of_test_pictures_are_counted() -> None:
    causes = {"blur": {"images": 3, "mean_mos": 41.2}, "noise": {"images": 0, "mean_mos": None}}
    table = causes_table([{"data": {"set": {"causes": causes}}}, {"data": {"other": {}}}])
    assert table.splitlines()[2:] == ["| blur | 3 | 41 |", "| noise | 0 |  |"]
    assert causes_table([{"data": {"other": {}}}]) == ""

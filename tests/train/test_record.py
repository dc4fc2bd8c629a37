"""The run record: files keep the layout that they always had, and a record that is not one is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dpiqa.errors import InputError
from dpiqa.train.loop.checkpoint import State, load_checkpoint
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import parse_record
from dpiqa.train.loop.run import write_run
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student

DIGEST = "b7863f683651d663c898ae411931360e3d7d8b5dc1ae1054abb66e9db71ab2dc"
FILE = Path("best.pt")
SHIPPED = sorted((Path(__file__).parents[2] / "models" / "results").glob("*/run.json"))
DISTORTIONS = {
    "share": 0.8,
    "weights": {"order": 0, "causes": 1.0, "map": 1.0},
    "pristine": [{"name": "clic2025", "images": 37}, {"name": "best rated", "images": 4264}],
}
# As release 0.1 wrote them, key by key.
STUDENT: dict[str, Any] = {
    "student": {"arch": "test_efficientnet", "hidden": 256, "dropout": 0.1, "causes": ["blur", "noise"], "map": True},
    "input": {"height": 96, "width": 64, "resize": "area"},
    "trained_on": [
        {"name": "biq2021", "split": "official", "images": 7180},
        {"name": "clic2025", "split": "pristine", "images": 37},
    ],
    "begun": DIGEST,
    "frozen": ["score"],
    "faults": DISTORTIONS,
    "across_collections": False,
    "quantized": {
        "calibrated_on": 300,
        "percentile": 99.9,
        "images": 1000,
        "feature_weight": 1.0,
        "seed": 0,
        "learned": ["1.png", "2.png"],
    },
}
DISTILLED = {name: STUDENT[name] for name in ("student", "input", "trained_on")} | {
    "distilled_from": {
        "teacher": DIGEST,
        "data": DIGEST,
        "unlabelled": 20,
        "weights": {"score": 1.0, "teacher": 1.0, "map": 0.5, "ranking": 1.0},
        "pictures_an_epoch": 64,
    }
}
TEACHER = {
    "teacher": {"prior": "sd15", "weights": "/sd15", "frozen_sha256": DIGEST, "size": 512, "width": 512},
    "input": {"height": 512, "width": 512, "resize": "area"},
    "trained_on": [{"name": "koniq10k", "split": "grouped", "images": 9}],
    "split_seed": 0,
    "begun": DIGEST,
}


@pytest.mark.parametrize("document", [STUDENT, DISTILLED, TEACHER], ids=["student", "distilled", "teacher"])
def test_a_record_is_written_as_it_was_read(document: dict[str, Any], tmp_path: Path) -> None:
    record = parse_record(document, FILE)
    assert json.dumps(record.to_dict()) == json.dumps(document).replace('"order": 0,', '"order": 0.0,')
    write_run(tmp_path, record, start="random weights")
    assert json.loads((tmp_path / "run.json").read_text()) == document | {"start": "random weights"}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.parent.name)
def test_the_runs_of_the_shipped_models_are_records(file: Path) -> None:
    document = json.loads(file.read_text())
    facts = {"start", "recipe", "parameters", "hardware", "metrics_sha256", "lessons_sha256", "command"}
    own = {name: value for name, value in document.items() if name not in facts}
    assert parse_record(own, file).to_dict() == own


def test_a_checkpoint_of_the_old_layout_opens_and_is_resumed(tmp_path: Path) -> None:
    document = {name: value for name, value in STUDENT.items() if name != "quantized"}
    student = Student(**document["student"])
    recipe = {"epochs": 2, "batch": 32, "crop": 256, "lr": 1e-3, "trunk_lr": 0.2, "weight_decay": 1e-2, "warmup": 0.05,
              "ema": 0.998, "clip": 5.0, "seed": 0, "precision": "fp32", "accumulate": 1, "milestones": (),
              "decay": 0.1}  # fmt: skip
    history = [{"epoch": 1, "loss": 2.0, "val_srcc": 0.5, "val_plcc": 0.5, "train_seconds": 1.0}]
    file = tmp_path / "best.pt"
    torch.save({"model": student.state_dict(), "ema": student.state_dict(), "recipe": recipe, "about": document,
                "epoch": 1, "step": 3, "loss_sum": 0.5, "seconds": 0.25, "history": history}, file)  # fmt: skip
    opened, record = load_student(file)
    assert opened.config == document["student"]
    assert record.distortions
    assert record.distortions.fraction == 0.8
    other = Student(**document["student"])
    state = State({"model": other, "ema": other}, Recipe(), record)
    state.load(file)
    assert (state.epoch, state.step, state.loss_sum, state.seconds, state.history) == (1, 3, 0.5, 0.25, history)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), student.parameters(), strict=True))
    state.save(tmp_path / "last.pt")
    before, after = (torch.load(tmp_path / name, weights_only=True) for name in ("best.pt", "last.pt"))
    assert list(after) == list(before)
    assert after["about"] == before["about"]
    changed = record.model_copy(update={"across_collections": True})
    with pytest.raises(InputError, match="another recipe, model or data"):
        State({"model": other, "ema": other}, Recipe(), changed).load(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": {"height": 96, "width": 9}}, r"'input\.width': Input should be greater .* or equal to 32, found 9"),
        ({"trained_on": [{"name": "csv", "split": "all"}]}, r"'trained_on\.0\.images': Field required"),
        ({"faults": DISTORTIONS | {"rate": 1}}, r"'faults\.rate': Extra inputs are not permitted, found 1"),
        ({"faults": DISTORTIONS | {"weights": {"odour": 1}}}, r"'faults\.weights\.odour': Unexpected keyword"),
        ({"begun": "b786"}, r"'begun': String should match pattern .*, found 'b786'"),
        ({"mood": "good"}, r"'mood': Extra inputs are not permitted, found 'good'"),
    ],
)
def test_what_is_no_record_is_refused_by_file_and_field(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "best.pt"
    torch.save({"about": STUDENT | change, "ema": {}}, file)
    with pytest.raises(InputError, match=rf"best\.pt: run record field {message}") as refusal:
        load_checkpoint(file)
    assert "\n" not in str(refusal.value)


def test_a_record_that_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    torch.save({"about": [1], "ema": {}}, tmp_path / "best.pt")
    with pytest.raises(InputError, match="its run record must be a dictionary, found list"):
        load_checkpoint(tmp_path / "best.pt", "student")

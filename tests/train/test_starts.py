"""Training that starts from a student or a teacher that is there, and the protocol that does so ten times."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train import protocol, student, teacher
from dpiqa.train.students.files import load_student
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.model import load_teacher

SPLIT = "ratio:0"


@pytest.fixture(scope="module")
def student_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny student of another data set."""
    torch.manual_seed(0)
    tiny = Student("test_efficientnet")
    about = {"student": tiny.config, "input": InputSpec(height=96, width=96).model_dump(),
             "trained_on": [{"name": "biq2021", "split": "official", "images": 9}]}  # fmt: skip
    file = tmp_path_factory.mktemp("student") / "best.pt"
    torch.save({"about": about, "ema": tiny.state_dict()}, file)
    return file


def test_training_starts_from_a_student_that_is_there(student_file: Path, rated_set: Path, tmp_path: Path) -> None:
    options = {"start": student_file, "crop": 64, "batch": 16, "epochs": 1, "lr": 0.0, "bf16": False}
    student.main([f"csv={rated_set}"], tmp_path / "run", SPLIT, **options)  # type: ignore[arg-type]
    before, _ = load_student(student_file)
    after, record = load_student(tmp_path / "run" / "best.pt")
    assert [entry.name for entry in record.trained_on] == ["biq2021", "csv"]
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    with pytest.raises(InputError, match="a student with test_efficientnet, not --arch resnet18"):
        student.main([f"csv={rated_set}"], tmp_path / "run", SPLIT, arch="resnet18", start=student_file)


def test_training_starts_from_a_teacher_that_is_there(teacher_file: Path, rated_set: Path, tmp_path: Path) -> None:
    options = {"start": teacher_file, "batch": 16, "epochs": 1, "lr": 0.0, "precision": "fp32"}
    teacher.main([f"csv={rated_set}"], tmp_path, split=SPLIT, **options)  # type: ignore[arg-type]
    before, after = (load_teacher(file)[0] for file in (teacher_file, tmp_path / "best.pt"))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    with pytest.raises(InputError, match="--prior or --start"):
        teacher.main([f"csv={rated_set}"], tmp_path)
    with pytest.raises(InputError, match="brings its own --prior"):
        teacher.main([f"csv={rated_set}"], tmp_path, prior="vit-s", start=teacher_file)


@pytest.mark.slow
def test_the_protocol_fine_tunes_and_tests_every_division(
    student_file: Path,
    rated_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(protocol, "DIVISIONS", 2)
    options = ["--epochs", "1", "--crop", "64", "--batch", "16", "--no-bf16"]
    data = f"csv={rated_set}"
    protocol.main(data, tmp_path, student_file, options=options)
    rows = (tmp_path / "protocol.csv").read_text().splitlines()
    assert len(rows) == 3
    first, second = (float(row.split(",")[2]) for row in rows[1:])
    assert "median of 2 divisions of csv: SRCC" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "ratio-0")  # a division that is in the table is not run again
    protocol.main(data, tmp_path, student_file, options=options)
    assert f"SRCC {(first + second) / 2:.3f}" in capsys.readouterr().out
    assert not (tmp_path / "ratio-0").exists()
    with pytest.raises(InputError, match="with other options; choose another --out"):
        protocol.main(data, tmp_path, student_file, options=["--epochs", "2"])
    protocol.main(data, tmp_path / "anew", options=[*options, "--arch", "test_efficientnet", "--no-pretrained",
                                                    "--size", "64"])  # fmt: skip
    assert (tmp_path / "anew" / "protocol.csv").read_text().count("student,,--epochs") == 2
    assert not (tmp_path / "anew" / "ratio-0" / "last.pt").exists()
    with pytest.raises(InputError, match="was already trained on biq2021"):
        protocol.main("biq2021=/nowhere", tmp_path / "other", student_file, options=options)

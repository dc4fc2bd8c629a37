"""Near-duplicates are found whatever was done to them, other pictures are not; none of CLIVE is in what we train on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from forked import call_module

from dpiqa.train.data.near_duplicates import MAX_DISTANCE, MIN_CORRELATION
from dpiqa.train.model_files import load_model, read_contract

COMMITTED = Path(__file__).parents[2] / "models" / "results" / "near_duplicates.json"
MODELS = COMMITTED.parents[1]


def _scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)


def _search(folder: Path, training: str, test: str) -> subprocess.CompletedProcess[str]:
    out = folder / "pairs.json"
    return call_module("train.near_duplicates", "--training", training, "--test", test, "--out", out)


def test_copies_are_found_and_other_pictures_are_not(tmp_path: Path) -> None:
    training, test = tmp_path / "training" / "below", tmp_path / "test"
    training.mkdir(parents=True)
    test.mkdir()
    rows = ["image,mos,split"]
    for seed in range(30):
        cv2.imwrite(str(training / f"{seed}.png"), _scene(seed))
        rows.append(f"{seed}.png,50,{'test' if seed == 5 else 'train'}")
    (training / "scores.csv").write_text("\n".join(rows) + "\n")
    copies = {
        "1_smaller.png": cv2.resize(_scene(1), (90, 90), interpolation=cv2.INTER_AREA),
        "2_darker.png": (0.5 * _scene(2)).astype(np.uint8),
        "3_mirrored.png": _scene(3)[:, ::-1],
        "5_not_trained_on.png": _scene(5),
    }
    for name, image in copies.items():
        cv2.imwrite(str(test / name), image)
    cv2.imwrite(str(test / "4_compressed.jpg"), _scene(4), [cv2.IMWRITE_JPEG_QUALITY, 10])
    for seed in range(100, 130):
        cv2.imwrite(str(test / f"{seed}_new.png"), _scene(seed))
    done = _search(tmp_path, f"csv={training / 'scores.csv'}", f"new={test}")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "pairs.json").read_text())
    assert (report["training"], report["test"]) == ({"csv": 29}, {"new": 35})
    pairs = {(pair["training"], pair["test"]) for pair in report["pairs"]}
    assert pairs == {
        ("csv/1.png", "new/1_smaller.png"),
        ("csv/2.png", "new/2_darker.png"),
        ("csv/3.png", "new/3_mirrored.png"),
        ("csv/4.png", "new/4_compressed.jpg"),
    }


@pytest.mark.parametrize(
    ("training", "message"),
    [("nowhere", "expected NAME=PATH"), ("new=/nowhere", "no such folder"), ("clive=/nowhere", "does not exist")],
)
def test_a_bad_source_is_one_line(tmp_path: Path, training: str, message: str) -> None:
    done = _search(tmp_path, training, f"new={tmp_path}")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_test_picture_is_known_to_be_trained_on() -> None:
    report = json.loads(COMMITTED.read_text())
    assert report["rule"] == {"max_distance": MAX_DISTANCE, "min_correlation": MIN_CORRELATION}
    assert report["training"]["biq2021"] == 10000
    assert report["test"]["clive"] == 1162
    learned = set()
    for model in sorted(MODELS.glob("*.onnx")):
        learned |= {entry.name for entry in read_contract(load_model(model), model).trained_on}
    assert learned == set(report["training"])
    for pair in report["pairs"]:
        assert set(pair) == {"training", "test", "distance", "correlation"}
    assert not [pair for pair in report["pairs"] if pair["test"].startswith("clive/")]

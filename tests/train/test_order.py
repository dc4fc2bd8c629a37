"""The order and stability of scores, on predictions that can be worked out and on a student's checkpoint."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from dpiqa.errors import InputError
from dpiqa.runtime.prediction import Prediction
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import LEVELS
from dpiqa.train.evaluation.order import one_pixel_shift, still_scene, table
from dpiqa.train.order import main
from dpiqa.train.students.model import Student


def _picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_NEAREST)


def _row(rows: list[dict], name: str) -> dict:
    return next(row for row in rows if row["name"] == name)


@pytest.fixture
def few_distortions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(DISTORTIONS) - {"defocus", "sensor_noise"}:
        monkeypatch.delitem(DISTORTIONS, name)


@pytest.mark.usefixtures("few_distortions")
def test_pairs_out_of_order_and_causes_named_right_are_counted() -> None:
    pictures = [_picture(seed) for seed in range(2)]

    def sharpness(image: np.ndarray) -> Prediction:
        return _named(float(np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean()), "blur")

    rows = table(sharpness, pictures, still=1)
    blur, noise, whole = (_row(rows, name) for name in ("defocus", "sensor_noise", "all"))
    assert (blur["value"], blur["cause_right"]) == (1.0, 1.0)
    assert noise["value"] < 0.5  # noise looks sharp
    assert noise["cause_right"] == 0.0
    assert whole["value"] == pytest.approx((blur["value"] + noise["value"]) / 2)
    assert whole["cause_right"] == whole["cause_right_1"] == 0.5
    assert {row["name"]: row["value"] for row in rows if row["measure"] == "cause"} == {"noise": 0, "blur": 1}
    firmest = min(blur["level_3"], blur["level_4"])

    def sees_strong_blur(image: np.ndarray) -> Prediction:
        prediction = sharpness(image)
        return prediction if prediction.score < firmest else _named(prediction.score, "noise")

    by_level = _row(table(sees_strong_blur, pictures, still=1), "defocus")
    assert by_level["cause_right_1"] < by_level["cause_right_5"] == 1
    levels = [blur[f"level_{level}"] for level in (0, *LEVELS)]
    assert levels[1:] == sorted(levels[1:], reverse=True)


@pytest.mark.usefixtures("few_distortions")
def test_a_model_without_causes_gets_no_metric_for_them() -> None:
    rows = table(lambda _: Prediction(50.0), [_picture(0)], still=1)
    assert _row(rows, "all")["value"] == 1.0
    assert not any("cause_right" in row for row in rows)
    assert _row(rows, "one_pixel_shift")["value"] == _row(rows, "still_scene_with_noise")["value"] == 0


def test_stability_is_the_largest_deviation() -> None:
    image = _picture(0)
    corner = still_scene(lambda picture: Prediction(float(picture[0, 0, 0])), image, seed=0)
    whole = still_scene(lambda picture: Prediction(float(picture.mean())), image, seed=0)
    assert corner > 1 > whole > 0
    expected = np.abs(image[:3, :3, 0].astype(float) - image[1, 1, 0]).max()
    assert one_pixel_shift(lambda picture: Prediction(float(picture[0, 0, 0])), image) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("few_distortions")
@pytest.mark.parametrize("causes", [(), ("blur", "noise")], ids=["score", "causes"])
def test_the_command_measures_a_checkpoint(rated_set: Path, tmp_path: Path, causes: tuple[str, ...]) -> None:
    checkpoint, out = tmp_path / "best.pt", tmp_path / "order.csv"
    student = Student("test_efficientnet", causes=causes)
    about = {"student": student.config, "input": {"height": 64, "width": 64}, "trained_on": []}
    torch.save({"about": about, "ema": student.state_dict()}, checkpoint)
    main(checkpoint, str(rated_set.parent), out, count=2, still=1)
    written = pd.read_csv(out)
    names = ["defocus", "sensor_noise", *causes, "all", "still_scene_with_noise", "one_pixel_shift"]
    assert list(written["name"]) == names
    assert written.query("measure == 'order'")["value"].between(0, 1).all()
    is_stability = written["measure"] == "stability"
    assert (written["pictures"] == np.where(is_stability, 1, 2)).all()
    assert written["machine"].str.contains("PyTorch").all()


def test_what_cannot_be_measured_is_refused_and_nothing_is_written(rated_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "order.csv"
    with pytest.raises(InputError, match=r"absent\.pt: no such file"):
        main(tmp_path / "absent.pt", str(rated_set.parent), out)
    with pytest.raises(InputError, match="not a checkpoint"):
        main(_touched(tmp_path / "best.pt"), str(rated_set.parent), out)
    assert not out.exists()


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _named(score: float, cause: str) -> Prediction:
    return Prediction(score, (cause,), np.ones(1, np.float32))

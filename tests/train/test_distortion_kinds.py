"""Every distortion keeps the picture's shape, repeats with its seed, and is stronger at higher levels."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from forked import call_module

from dpiqa.errors import InputError
from dpiqa.runtime.video import read_video
from dpiqa.train.distortions.kinds import DISTORTIONS
from dpiqa.train.distortions.kinds.base import CAUSES, LEVELS
from dpiqa.train.distortions.reference import at_reference_size

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """Three parts of a photograph, 256 pixels high."""
    whole = next(read_video(str(CLIP))).pixels
    return [at_reference_size(whole[:, left : left + 1080], 256) for left in (0, 420, 840)]


def test_there_are_enough_of_them_and_every_cause_has_one() -> None:
    assert len(DISTORTIONS) >= 24
    assert {distortion.cause for distortion in DISTORTIONS.values()} == set(CAUSES)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_stronger_level_differs_more_from_the_clean_picture(photographs: list[np.ndarray], name: str) -> None:
    for number, photograph in enumerate(photographs):
        weaker, copy = 0.0, photograph.copy()
        for level in LEVELS:
            distorted = DISTORTIONS[name].apply(photograph, level, np.random.default_rng(number))
            difference = float(np.abs(distorted.astype(float) - photograph).mean())
            assert difference > weaker, f"level {level} of {name} on photograph {number}"
            weaker = difference
        assert np.array_equal(photograph, copy), "the caller's picture was changed"


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_same_seed_gives_the_same_picture(photographs: list[np.ndarray], name: str) -> None:
    first, again = (DISTORTIONS[name].apply(photographs[0], 3, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("shape", [(33, 47), (1, 1), (5, 200), (64, 65)], ids=str)
@pytest.mark.parametrize("name", DISTORTIONS)
def test_odd_and_tiny_pictures_keep_their_form(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    for level in (LEVELS[0], LEVELS[-1]):
        distorted = DISTORTIONS[name].apply(image, level, np.random.default_rng(1))
        assert (distorted.shape, distorted.dtype) == (image.shape, np.uint8)
        assert not np.shares_memory(distorted, image)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_other_levels_and_other_arrays_are_refused(name: str) -> None:
    distortion, rng = DISTORTIONS[name], np.random.default_rng(0)
    for level in (0, 6):
        with pytest.raises(InputError, match=f"{name}: level must be 1 to 5, found {level}"):
            distortion.apply(np.zeros((32, 32, 3), np.uint8), level, rng)
    for wrong in (np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.uint8), np.zeros((0, 3, 3), np.uint8)):
        with pytest.raises(InputError, match="expected uint8"):
            distortion.apply(wrong, 1, rng)


def _sheet(picture: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call_module("train.degrade", "--picture", picture, "--out", out, *options)


def test_the_contact_sheet_has_a_row_per_distortion(photographs: list[np.ndarray], tmp_path: Path) -> None:
    picture, out = tmp_path / "photograph.png", tmp_path / "sheet.png"
    cv2.imwrite(str(picture), photographs[0])
    done = _sheet(picture, out, "--name", "jpeg", "--name", "defocus", "--tile", "64")
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (2 * (22 + 64), 6 * 64, 3)
    clean, worst = sheet[22:86, :64].astype(float), sheet[22:86, -64:].astype(float)
    assert np.abs(clean - worst).mean() > 2


@pytest.mark.parametrize(
    ("picture", "out", "options", "message"),
    [
        ("absent.png", "sheet.png", (), "absent.png: no such file"),
        ("absent.png", "sheet.jpg", (), "only PNG can be written"),
        ("absent.png", "sheet.png", ("--name", "rust"), "--name rust: no such distortion, known: "),
    ],
)
def test_a_bad_command_is_one_line(
    tmp_path: Path, picture: str, out: str, options: tuple[str, ...], message: str
) -> None:
    done = _sheet(tmp_path / picture, tmp_path / out, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())

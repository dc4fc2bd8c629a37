"""`dpiqa score --explain`: the map lies where it belongs, causes are told, and what cannot be drawn is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made import Ended, MakeModel, halves, make_spec

Command = Callable[..., Ended]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def model(save_model: MakeModel) -> Path:
    """It gives each pixel's brightness as the map, and one minus the picture's as causes."""
    return save_model(make_spec(["blur", "exposure_low"]), outputs=("score", "causes", "map"))


def _half_black() -> np.ndarray:
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[:, 320:] = 255
    return pixels


def test_the_map_lies_over_the_frame_and_the_causes_beside_it(
    dpiqa: Command, model: Path, write_picture: Write, tmp_path: Path
) -> None:
    ended = dpiqa("score", write_picture(pixels=_half_black()), "--model", model, "--explain", tmp_path / "why")
    assert ended.status == 0, ended.err
    drawn = cv2.imread(str(tmp_path / "why" / "photo.png.png"))
    assert drawn is not None
    assert drawn.shape == (480 + 6 + 480, 640 + 300, 3)
    assert np.array_equal(drawn[:480, :640], _half_black()), "first the frame as it is"
    marked = drawn[486:, :640].astype(int)
    assert marked[200, 100, 2] > marked[200, 100, 1] + 30, "where the map is low it is red"
    assert (marked[200, 500] == 255).all(), "where it is high it is as it was"
    panel = drawn[:, 640:]
    assert (panel.reshape(-1, 3) != 255).any(1).mean() > 0.02
    lines = [row for row in range(130, 230) if (panel[row] < 100).all(1).sum() > 100]
    assert len(lines) >= 10, "two causes at 50 %: two bars that fill half of the panel's width"


def test_of_a_video_the_worst_frame_is_drawn(dpiqa: Command, model: Path, write_video: Write, tmp_path: Path) -> None:
    levels = [200, 180, 40, 160, 220]
    video = write_video([halves(level, 96, 128) for level in levels])
    assert dpiqa("score", video, "--model", model, "--explain", tmp_path / "why").status == 0
    (drawn,) = [cv2.imread(str(path)) for path in (tmp_path / "why").iterdir()]
    assert drawn is not None
    assert drawn[:90, :120].mean() < 110


def test_an_upright_frame_stands_beside_its_marked_one_and_all_causes_are_listed(
    dpiqa: Command, save_model: MakeModel, write_picture: Write, tmp_path: Path
) -> None:
    model = save_model(make_spec([f"cause{number}" for number in range(9)]), outputs=("score", "causes", "map"))
    picture = write_picture(pixels=np.full((100, 80, 3), 90, np.uint8) + _half_black()[:100, 280:360] // 4)
    assert dpiqa("score", picture, "--model", model, "--explain", tmp_path / "why").status == 0
    drawn = cv2.imread(str(tmp_path / "why" / "photo.png.png"))
    assert drawn is not None
    assert drawn.shape == (150 + 34 * 11, 80 + 6 + 80 + 300, 3)


def test_without_a_map_the_frame_stays_as_it_is(
    dpiqa: Command, save_model: MakeModel, write_picture: Write, tmp_path: Path
) -> None:
    model, picture = save_model(make_spec(["blur"]), outputs=("score", "causes")), write_picture()
    assert dpiqa("score", picture, "--model", model, "--explain", tmp_path / "why").status == 0
    drawn, pixels = cv2.imread(str(tmp_path / "why" / "photo.png.png")), cv2.imread(str(picture))
    assert drawn is not None
    assert pixels is not None
    height, width = pixels.shape[:2]
    assert np.array_equal(drawn[:height, :width], pixels)


def test_pictures_of_the_same_name_are_both_drawn(
    dpiqa: Command, model: Path, write_picture: Write, tmp_path: Path
) -> None:
    pictures = [write_picture("a/photo.png"), write_picture("b/photo.png", _half_black())]
    assert dpiqa("score", *pictures, "--model", model, "--explain", tmp_path / "why").status == 0
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == ["photo.png-2.png", "photo.png.png"]


def test_a_model_that_explains_nothing_is_one_line(
    dpiqa: Command, model_path: Path, write_picture: Write, tmp_path: Path
) -> None:
    ended = dpiqa("score", write_picture(), "--model", model_path, "--explain", tmp_path / "why")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert "the model brightness names no causes and draws no map" in ended.err
    assert not (tmp_path / "why").exists()


def test_a_file_in_place_of_the_folder_is_one_line(
    dpiqa: Command, model: Path, write_picture: Write, tmp_path: Path
) -> None:
    (tmp_path / "why").write_text("mine")
    ended = dpiqa("score", write_picture(), "--model", model, "--explain", tmp_path / "why")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert "is a file, name a folder" in ended.err
    assert (tmp_path / "why").read_text() == "mine"

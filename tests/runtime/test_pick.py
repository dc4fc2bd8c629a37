"""`dpiqa pick`: pictures of one scene are grouped, the best of each is named with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made import Ended, MakeModel, make_spec, photo

Command = Callable[..., Ended]
Write = Callable[..., Path]


@pytest.fixture
def pick(dpiqa: Command, save_model: MakeModel) -> Command:
    model = save_model(make_spec(("exposure_low",)), outputs=("score", "causes"))  # the score is the brightness
    return lambda *arguments: dpiqa("pick", "--model", model, *arguments)


def _scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 150, (5, 7, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (224, 160), interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def album(write_picture: Write) -> Path:
    scene, other = _scene(1), _scene(2)
    write_picture("album/1_dark.png", (scene * 0.5).astype(np.uint8))
    write_picture("album/2_best.png", scene[4:, 5:])
    write_picture("album/3_darker.png", (scene[:-3, 2:] * 0.4).astype(np.uint8))
    write_picture("album/4_twin.png", other)
    write_picture("album/5_twin.png", other[2:, 2:])
    return write_picture("album/6_alone.png", _scene(3)).parent


def test_names_the_best_of_each_scene(pick: Command, album: Path) -> None:
    groups = [json.loads(line) for line in pick(album, "--json").out.splitlines()]
    names = [[Path(name).name for name in (group["best"], *group["others"])] for group in groups]
    assert names[0] == ["2_best.png", "1_dark.png", "3_darker.png"]
    assert sorted(names[1]) == ["4_twin.png", "5_twin.png"]
    assert names[2:] == [["6_alone.png"]]
    assert [group["is_clear"] for group in groups] == [True, False, True]
    assert groups[0]["reason"].endswith("points ahead of the next, less exposure low")
    assert groups[1]["reason"].startswith("no clear best: only ")
    assert groups[2]["reason"] == "the only one"


def test_prints_and_copies_them(pick: Command, album: Path, tmp_path: Path) -> None:
    (album / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    ended = pick(album, "--copy-to", tmp_path / "best")
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert ended.out.splitlines()[1].strip().endswith("1_dark.png")
    assert len(list((tmp_path / "best").iterdir())) == 3


def test_a_folder_without_a_readable_picture_is_refused(pick: Command, tmp_path: Path) -> None:
    ended = pick(tmp_path / "none")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.endswith("none: no such file or folder\n")


def test_a_photograph_is_not_grouped_with_another(pick: Command, write_picture: Write) -> None:
    folder = write_picture("pair/a.png", photo(160, 224)).parent
    write_picture("pair/b.png", _scene(5))
    assert len(pick(folder, "--json").out.splitlines()) == 2

"""Compiled models: used again, and never trusted when damaged, stale or of another model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made import photo

pytest.importorskip("dpiqa.native", reason="needs dpiqa.native and OpenVINO, pip install '.[openvino]'")
from dpiqa import native
from dpiqa.runtime.models import cache_folder

DATA = Path(__file__).parents[1] / "cpp_bindings" / "data"


def _score(model: Path, cache: Path, threads: int = 1) -> float:
    return native.Model(model, threads=threads, force_float32=True, cache=cache).score(photo()).score


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder whose parent does not exist either."""
    return tmp_path / "new" / "cache"


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny-int8.onnx"])
def test_a_compiled_model_is_used_again_and_scores_the_same(name: str, cache: Path) -> None:
    expected = native.Model(DATA / name, threads=1, force_float32=True).score(photo())
    assert expected.map is not None
    inodes = set()
    for _ in range(3):
        result = native.Model(DATA / name, threads=1, force_float32=True, cache=cache).score(photo())
        assert result.map is not None
        assert (result.score, np.array_equal(result.map, expected.map)) == (expected.score, True)
        (entry,) = cache.iterdir()
        inodes.add(entry.stat().st_ino)
    assert len(inodes) == 1


def _flip(place: float) -> Callable[[Path], None]:
    def damage(entry: Path) -> None:
        data = bytearray(entry.read_bytes())
        data[int(place * (len(data) - 1))] ^= 1
        entry.write_bytes(data)

    return damage


def _cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-100])


DAMAGE = {
    "checksum": _flip(0),
    "key": _flip(0.001),
    "weights": _flip(0.5),
    "last byte": _flip(1),
    "cut": _cut,
    "short": lambda entry: entry.write_bytes(b"short"),
    "empty": lambda entry: entry.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_entry_is_replaced(damage: Callable[[Path], None], cache: Path) -> None:
    expected = _score(DATA / "tiny.onnx", cache)
    (entry,) = cache.iterdir()
    good = entry.read_bytes()
    damage(entry)
    assert entry.read_bytes() != good
    assert _score(DATA / "tiny.onnx", cache) == expected
    assert [file.name for file in cache.iterdir()] == [entry.name]
    assert abs(entry.stat().st_size - len(good)) < 200  # nodes that get a name by number
    inode = entry.stat().st_ino
    assert _score(DATA / "tiny.onnx", cache) == expected
    assert entry.stat().st_ino == inode


def test_another_model_at_the_same_path_is_compiled(cache: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    scores = []
    for name in ("tiny.onnx", "tiny-int8.onnx", "tiny.onnx"):
        shutil.copy(DATA / name, model)
        scores.append(_score(model, cache))
    assert scores[0] == scores[2] != scores[1]
    assert len(list(cache.iterdir())) == 2


def test_other_options_are_another_entry_and_old_ones_go(cache: Path) -> None:
    for threads in range(1, 20):
        _score(DATA / "tiny.onnx", cache, threads)
    assert len(list(cache.iterdir())) == 16


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = native.Model(DATA / "tiny.onnx", threads=1, force_float32=True).score(photo()).score
    assert _score(DATA / "tiny.onnx", tmp_path / "file" / "cache") == expected


def test_the_users_cache_is_the_place_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.delenv("DPIQA_CACHE")
    assert cache_folder() == Path("/xdg/dpiqa")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/dpiqa")
    monkeypatch.setenv("DPIQA_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("DPIQA_CACHE", "")
    assert cache_folder() is None

"""The teacher's cache on disk: what is written is read back, and what is not its own is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import load, load_unlabelled
from dpiqa.train.loop.checkpoint import state_sha256
from dpiqa.train.students.model import Student
from dpiqa.train.students.presets import PRESETS
from dpiqa.train.teachers.cache import Contents, Origin, TeacherCache, make_index


@pytest.fixture
def cache(rated_set: Path, tmp_path: Path) -> TeacherCache:
    pictures = [sample.path for sample in load("csv", rated_set)][:5]
    index = make_index([("csv", rated_set, "train", pictures)])
    origin = Origin(name="csv", split="grouped", images=5)
    contents = Contents(
        teacher="a" * 64,
        data="b" * 64,
        input=InputSpec(height=64, width=64),
        bf16=False,
        trained_on=(),
        origins=(origin,),
    )
    return TeacherCache.create(tmp_path / "cache", contents, index)


def test_what_is_written_is_read_back_and_no_longer_missing(cache: TeacherCache) -> None:
    maps = np.random.default_rng(0).random((2, 8, 64, 64)).astype(np.float32)
    cache.write([3, 1], np.array([30.25, 10.5], np.float32), maps)
    again = TeacherCache(cache.folder)
    assert again.missing().tolist() == [0, 2, 4]
    assert again.scores[[3, 1]].tolist() == [30.25, 10.5]
    assert np.abs(again.map(1) - maps[1]).max() < 1e-3
    assert again.index["image"].tolist() == [f"{n}.png" for n in range(5)]
    assert (cache.folder / "maps.npy").stat().st_size < 5 * 65536 + 200


def test_the_scale_of_the_maps_ignores_channels_that_are_dead(cache: TeacherCache) -> None:
    maps = np.random.default_rng(0).normal(3, 2, (5, 8, 64, 64))
    maps[:, 4] = 0
    cache.write(list(range(5)), np.zeros(5, np.float32), maps)
    mean, std = cache.map_scale()
    assert np.allclose(np.delete(mean.ravel(), 4), 3, atol=0.05)
    assert np.allclose(np.delete(std.ravel(), 4), 2, atol=0.05)
    assert 0.01 < std.ravel()[4] < 0.1


def test_a_broken_teacher_is_named_with_the_picture(cache: TeacherCache) -> None:
    maps = np.zeros((2, 8, 64, 64), np.float32)
    maps[1, 2, 3, 4] = 1e6  # infinite in half precision
    with pytest.raises(InputError, match=r"2\.png: the teacher's score or map is not a finite number"):
        cache.write([1, 2], np.zeros(2, np.float32), maps)
    assert len(TeacherCache(cache.folder).missing()) == 5


@pytest.mark.parametrize(("field", "message"), [("teacher", "another teacher"), ("data", "another data")])
def test_another_teacher_or_data_is_refused_by_hash(cache: TeacherCache, field: str, message: str) -> None:
    with pytest.raises(InputError, match=f"{message} .*cccc.*choose another --out"):
        cache.require(cache.contents.model_copy(update={field: "c" * 64}))


def test_what_is_no_cache_is_refused(cache: TeacherCache, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a teacher cache, cache\.json is missing"):
        TeacherCache(tmp_path)
    (cache.folder / "cache.json").write_text("{}")
    with pytest.raises(InputError, match="not a teacher cache of this release"):
        TeacherCache(cache.folder)


def test_maps_that_do_not_match_the_index_are_refused(cache: TeacherCache) -> None:
    np.save(cache.folder / "maps.npy", np.zeros((4, 8, 64, 64), np.float16))
    with pytest.raises(InputError, match="its maps do not match its index"):
        TeacherCache(cache.folder)


def test_the_digest_of_weights_is_that_of_their_values() -> None:
    torch.manual_seed(0)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    assert state_sha256(one) != state_sha256(other)
    other.load_state_dict(one.state_dict())
    assert state_sha256(one) == state_sha256(other)


def test_an_unlabelled_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_unlabelled(tmp_path / "absent")
    (tmp_path / "clip.mp4").write_bytes(b"no picture")
    with pytest.raises(InputError, match="no picture in this folder"):
        load_unlabelled(tmp_path)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "paper"])
def test_edge_students_have_two_to_twelve_million_parameters(preset: str) -> None:
    with torch.device("meta"):
        student = Student(PRESETS[preset][0])
    assert 2e6 < sum(weight.numel() for weight in student.parameters()) < 12e6


@pytest.mark.parametrize("preset", ["lite1", "lite2"])
def test_packaged_imagenet_weights_fill_the_trunk(preset: str) -> None:
    student = Student(PRESETS[preset][0])
    before = {name: value.clone() for name, value in student.trunk.state_dict().items()}
    assert "Apache-2.0" in student.load_imagenet()
    same = [name for name, value in student.trunk.state_dict().items() if torch.equal(value, before[name])]
    assert all(name.endswith("num_batches_tracked") for name in same)

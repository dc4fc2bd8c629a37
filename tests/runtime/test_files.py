"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_folder, atomic_write


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "scores.csv"
    with atomic_write(target) as first:
        first.write(b"first")
        first.flush()
        with atomic_write(target) as second:
            second.write(b"2nd")
        assert target.read_bytes() == b"2nd"
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "folder"

    def interrupted() -> None:
        with atomic_folder(target) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []
    with atomic_folder(target) as folder:
        (folder / "whole").touch()
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
    with pytest.raises(InputError, match="is there already"), atomic_folder(target):
        pass
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), atomic_folder(tmp_path / "file" / "folder"):
        pass


def _full(source: str | None = None) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)


def test_a_full_disk_is_told_of_what_was_being_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as nameless, atomic_write(tmp_path / "file"):
        _full()
    assert nameless.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError, match="No space left") as copied, atomic_folder(tmp_path / "folder"):
        _full("what was copied")
    assert copied.value.filename == str(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []

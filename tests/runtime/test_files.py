"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from runtime.files import atomic_write


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

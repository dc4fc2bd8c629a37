"""What INPUT stands for: folders, globs, lists and columns, on this machine and in a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpiqa.errors import DpiqaError
from dpiqa.runtime.archive.inputs import inputs


@pytest.fixture
def bucket(s3: str) -> str:
    fs = fsspec.filesystem("s3")
    for name in ("a.jpg", "notes.txt", "sub/b.mp4", "sub/.hidden.jpg", "sub/deep/C.PNG"):
        fs.pipe_file(f"archive/tree/{name}", b"x")
    return f"{s3}/tree"


def test_a_folder_is_its_pictures_and_videos(bucket: str, write_picture: Callable[..., Path], tmp_path: Path) -> None:
    assert list(inputs(bucket)) == [f"{bucket}/a.jpg", f"{bucket}/sub/b.mp4", f"{bucket}/sub/deep/C.PNG"]
    write_picture("shots/one.png")
    assert (
        list(inputs(f"{tmp_path}/shots")) == list(inputs(f"file://{tmp_path}/shots")) == [f"{tmp_path}/shots/one.png"]
    )


def test_a_glob_is_what_it_matches(bucket: str) -> None:
    assert list(inputs(f"{bucket}/*.jpg")) == [f"{bucket}/a.jpg"]
    assert list(inputs(f"{bucket}/sub/**/*.PNG")) == [f"{bucket}/sub/deep/C.PNG"]


def test_a_list_is_one_a_line_wherever_it_lies(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = b"s3://x/a.jpg\n\n  relative/b.jpg \nhttps://example.org/c.jpg?size=2\nname\xff.jpg\n"
    Path("list.txt").write_bytes(lines)
    fsspec.filesystem("s3").pipe_file("archive/list.txt", lines)
    named = ["s3://x/a.jpg", f"{tmp_path}/relative/b.jpg", "https://example.org/c.jpg?size=2"]
    named.append(os.fsdecode(bytes(tmp_path) + b"/name\xff.jpg"))
    assert list(inputs("list.txt")) == list(inputs(f"{s3}/list.txt")) == named


def test_a_column_of_one_or_many_parquet_files(s3: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("s3")
    for number in range(2):
        with fs.open(f"archive/columns/{number}.parquet", "wb") as file:
            pq.write_table(pa.table({"size": [1, 2], "url": [f"s3://x/{number}.jpg", None]}), file)
    assert list(inputs(f"{s3}/columns/1.parquet:url")) == ["s3://x/1.jpg"]
    assert list(inputs(f"{s3}/columns/*.parquet:url")) == ["s3://x/0.jpg", "s3://x/1.jpg"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("s3://nowhere/pictures", "s3://nowhere/pictures: no such file, folder or bucket"),
        ("s3://archive/none/*.jpg", "s3://archive/none/*.jpg: no picture or video there"),
        ("s3://archive/none.txt", "s3://archive/none.txt: no such file"),
        ("s3://nowhere/none.txt", "s3://nowhere/none.txt: the bucket does not exist"),
        ("s3://archive/columns/1.parquet", "name the column that holds the paths or URLs"),
        ("s3://archive/columns/1.parquet:uri", "has no column 'uri', its columns are size, url"),
        ("s3://archive/columns/1.parquet:size", "column 'size' holds no text"),
        ("s3://archive/list.txt:x.parquet:url", "no such file"),
        ("nonsense://x/y.jpg", "nonsense://x/y.jpg: Protocol not known: nonsense"),
        ("/no/such/folder", "/no/such/folder: no such file or folder"),
    ],
)
def test_what_cannot_be_read_is_one_line(s3: str, name: str, reason: str) -> None:
    with fsspec.filesystem("s3").open("archive/columns/1.parquet", "wb") as file:
        pq.write_table(pa.table({"size": [1, 2], "url": ["s3://x/1.jpg", None]}), file)
    with pytest.raises(DpiqaError) as error:
        list(inputs(name))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bucket_without_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.filesystem("s3").clear_instance_cache()
    for name in ("s3://archive/", "s3://archive/list.txt"):
        with pytest.raises(DpiqaError, match=r"^s3://archive/.*: no credentials for it on this machine$"):
            list(inputs(name))
    fsspec.filesystem("s3").clear_instance_cache()

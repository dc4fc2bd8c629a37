"""What a worker makes of a block, without Ray: rows, also for what fails, and a file that is whole or absent."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from archives import photo_png
from made import make_spec, photo

from dpiqa import Scorer
from dpiqa.runtime.archive.plan import ProbeBlocks, Settings, StoredBlocks, begin, blocks_left, cut, load
from dpiqa.runtime.archive.store import Store
from dpiqa.runtime.archive.worker import Job, Worker

FIRST = "part-0000000.parquet"


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    return save_model(make_spec(causes=["blur", "noise"]), outputs=("score", "causes"))


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Job:
    store = Store(str(tmp_path / "out"))
    return Job(ProbeBlocks([]), store, (model.name, model.read_bytes()), "auto", 1, fps=2.0)


def score(job: Job, uris: list[str]) -> dict[str, list[object]]:
    """One block of these inputs."""
    return Worker(replace(job, blocks=ProbeBlocks([uris])))({"block": np.array([0])})


def rows(store: Store) -> pd.DataFrame:
    return pq.read_table(io.BytesIO(store.read(FIRST))).to_pandas()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The URL at which a web server has the files of the temporary folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("place", ["local", "bucket", "web"])
def test_a_row_for_each_picture_frame_and_failure(
    place: str, s3: str, site: str, job: Job, model: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    video = write_video([photo(seed=number) for number in range(4)], fps=4)
    files = {"a.png": photo_png(9), "v.avi": video.read_bytes(), "empty.avi": b"", "bad.jpg": b"no picture"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        fsspec.filesystem("s3").pipe_file(f"archive/rows/{name}", content)
    root = {"local": str(tmp_path), "bucket": f"{s3}/rows", "web": site}[place]
    job = replace(job, store=Store(f"{s3}/rows/out" if place == "bucket" else str(tmp_path / "out")))
    assert job.store
    result = score(job, [f"{root}/{name}" for name in ("a.png", "missing.png", "v.avi", "empty.avi", "bad.jpg")])
    assert {name: result[name] for name in ("inputs", "failed", "rows", "reason")} == {
        "inputs": [5], "failed": [3], "rows": [6], "reason": [""]
    }  # fmt: skip
    table = rows(job.store)
    assert [uri.rpartition("/")[2] for uri in table["uri"]] == [
        *("a.png", "missing.png", "v.avi", "v.avi", "empty.avi", "bad.jpg")
    ]
    reasons = ["no such file", "the file is empty", "not a picture that can be decoded"]
    assert table["error"].dropna().tolist() == reasons
    assert table["score"].isna().tolist() == [False, True, False, False, True, True]
    scorer = Scorer(model, threads=1)
    frames_scored = list(scorer.stream(video, 2))
    scored = [scorer.score(tmp_path / "a.png"), *frames_scored]
    there = table[table["error"].isna()]
    assert there["score"].tolist() == pytest.approx([reading.score for reading in scored])
    assert there["band"].tolist() == [reading.band for reading in scored]
    assert [causes["noise"] for causes in there["causes"]] == pytest.approx([one.causes["noise"] for one in scored])
    assert there["frame"].tolist() == [0, 0, 2]
    assert there["pts_s"].tolist()[1:] == [0, 0.5]
    assert set(table["weights_sha256"]) == {scorer.spec.weights_sha256}
    assert set(table["model"]) == {"brightness 1"}
    assert table["versions"].str.startswith("dpiqa-edge ").all()


def test_a_frame_that_shows_nothing_is_void(job: Job, write_picture: Callable[..., Path]) -> None:
    assert job.store
    score(job, [str(write_picture(pixels=np.zeros((64, 64, 3), np.uint8)))])
    (row,) = rows(job.store).to_dict("records")
    assert (row["void"], row["score"], row["causes"]) == ("black", 0, None)


def test_an_input_that_kills_its_worker_again_and_again_is_left_out(
    job: Job, write_picture: Callable[..., Path]
) -> None:
    assert job.store
    uris = [str(write_picture(f"{number}.png")) for number in range(3)]
    Path(tempfile.gettempdir(), f"dpiqa-{job.run}-0").write_bytes(b"\n 0 1\n 0 1")
    score(job, uris)
    assert rows(job.store)["error"].isna().all()
    Path(tempfile.gettempdir(), f"dpiqa-{job.run}-0").write_bytes(b"\n 0 1\n 0 1\n 0 1")
    assert score(job, uris)["failed"] == [1]
    reasons = rows(job.store)["error"]
    assert reasons[1] == "killed its worker three times: too large, or damaged"
    assert reasons.isna().tolist() == [True, False, True]
    assert not list(Path(tempfile.gettempdir()).glob(f"dpiqa-{job.run}-*"))


def test_a_full_disk_stops_the_archive_and_leaves_no_part(
    job: Job, tmp_path: Path, write_picture: Callable[..., Path]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (disk / "other").write_bytes(b"x" * 61_000)
        result = score(replace(job, store=Store(str(disk))), [str(write_picture())])
        assert result["reason"] == [f"{disk}/{FIRST}: no space left on device"]
        assert [path.name for path in disk.iterdir()] == ["other"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_bucket_that_is_gone_stops_the_archive(s3: str, job: Job, write_picture: Callable[..., Path]) -> None:
    result = score(replace(job, store=Store("s3://nowhere/out")), [str(write_picture())])
    assert result["reason"] == [f"s3://nowhere/out/{FIRST}: the bucket does not exist"]


def test_a_model_that_cannot_be_opened_stops_the_archive(job: Job, write_picture: Callable[..., Path]) -> None:
    result = score(replace(job, model=("broken.onnx", b"no model")), [str(write_picture())])
    (reason,) = result["reason"]
    assert "broken.onnx" in str(reason)


@pytest.mark.parametrize(
    ("pictures", "videos", "blocks"), [(1, 0, 1), (63, 0, 63), (640, 0, 64), (200_000, 0, 200), (10, 3, 5)]
)
def test_blocks_hold_every_input_once(pictures: int, videos: int, blocks: int) -> None:
    uris = [f"{number}.jpg" for number in range(pictures)] + [f"{number}.mp4" for number in range(videos)]
    parts = list(cut(uris))
    assert [uri for part in parts for uri in part] == uris
    assert len(parts) == blocks
    assert list(cut(uris)) == parts


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_what_was_planned_is_read_back(place: str, s3: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out") if place == "local" else f"{s3}/planned")
    assert load(store) is None
    uris = [f"s3://x/{number}.jpg" for number in range(1000)] + ["/a/\udcff.jpg"]
    wanted = Settings(input="x", fps=1, model="m", weights_sha256="0", inputs=0, blocks=0)
    settings = begin(store, wanted, uris)
    assert settings == load(store)
    assert settings.inputs == 1001
    blocks = StoredBlocks(store)
    assert [uri for block in range(settings.blocks) for uri in blocks.uris(block)] == uris
    for block in (0, 7):
        with store.writing(f"part-{block:07}.parquet") as file:
            file.write(b"x")
    if place == "local":
        (tmp_path / "out" / ".part-0000003.parquet.0123abcd.part").write_bytes(b"half")
        store.sweep()
        assert not list((tmp_path / "out").glob(".*"))
    assert blocks_left(store, settings) == [block for block in range(settings.blocks) if block not in (0, 7)]

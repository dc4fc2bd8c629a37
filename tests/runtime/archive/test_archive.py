"""`dpiqa archive` on a real Ray of two nodes and a real S3 server; what is killed in the middle costs nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from archives import photo_png
from made import Ended

from dpiqa.runtime.archive import command
from dpiqa.runtime.archive.plan import INPUTS, StoredBlocks, part_name
from dpiqa.runtime.archive.run import Request, open_archive
from dpiqa.runtime.archive.store import Store

PICTURES = 150


class RayNodes(NamedTuple):
    """A running cluster: its address, and the processes that start its workers."""

    address: str
    raylets: set[int]


@pytest.fixture(scope="module")
def nodes(s3: str) -> Iterator[RayNodes]:
    """Two nodes of one CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    of_each = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=of_each)
    cluster.add_node(**of_each)
    processes = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
    yield RayNodes(str(cluster.address), set(processes))
    cluster.shutdown()


@pytest.fixture(scope="module")
def pictures(s3: str) -> list[str]:
    """Pictures in the bucket, one that is damaged, and the names of two that are not there."""
    fs = fsspec.filesystem("s3")
    fs.pipe({f"archive/shots/{number:03}.png": photo_png(number) for number in range(PICTURES)})
    fs.pipe_file("archive/shots/damaged.png", b"\x89PNG\r\n\x1a\n")
    names = [f"{s3}/shots/{number:03}.png" for number in range(PICTURES)]
    names += [f"{s3}/shots/damaged.png", f"{s3}/shots/missing.png", "s3://nowhere/x.png"]
    fs.pipe_file("archive/names.txt", "\n".join(names).encode())
    return names


def begun(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dpiqa", "archive", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


def parts(folder: str) -> set[str]:
    fs = fsspec.filesystem("s3")
    fs.invalidate_cache()
    return set(fs.glob(f"{folder}/part-*.parquet"))


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def workers(raylets: set[int]) -> list[int]:
    """The processes that score, which nodes have started."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)[1])  # type: ignore[index]
            if parent in raylets and b"MapWorker" in (folder / "cmdline").read_bytes():
                pids.append(int(folder.name))
        except OSError:
            continue
    return sorted(pids)


@pytest.mark.slow
def test_what_is_killed_loses_nothing_and_doubles_nothing(s3: str, nodes: RayNodes, pictures: list[str]) -> None:
    arguments = (f"{s3}/names.txt", "--out", f"{s3}/killed", "--ray", nodes.address)
    driver = begun(*arguments)
    try:
        wait_for(lambda: len(parts(f"{s3}/killed")) >= 3)
        os.kill(workers(nodes.raylets)[0], signal.SIGKILL)
        at_kill = len(parts(f"{s3}/killed"))
        wait_for(lambda: len(parts(f"{s3}/killed")) >= at_kill + 3)
    finally:
        driver.kill()
        assert ended(driver).status == -signal.SIGKILL

    written = parts(f"{s3}/killed")
    fs = fsspec.filesystem("s3")
    kept = sum(pq.read_metadata(fs.open(name)).num_rows for name in written)
    resumed = ended(begun(*arguments, "--resume"))
    assert (resumed.status, resumed.err) == (1, "")
    line = re.fullmatch(rf"{s3}/killed: (\d+) of (\d+) inputs scored, (\d+) rows\n", resumed.out)
    assert line
    scored, left, rows = map(int, line.groups())
    assert 0 < left <= len(pictures) - kept  # a worker may have ended its block after its command
    assert (scored, rows) == (left - 3, left)

    table = pd.read_parquet(f"{s3}/killed")
    assert sorted(table["uri"]) == sorted(pictures)
    assert sorted(table["uri"][table["error"].notna()]) == sorted(pictures[-3:])
    assert table["score"].between(0, 100).sum() == PICTURES


@pytest.mark.slow
def test_an_estimate_is_told_without_an_archive(s3: str, nodes: RayNodes, pictures: list[str]) -> None:
    estimate = ("--estimate", "1000000", "--price-per-hour", "2.5", "--ray", nodes.address)
    status, out, err = ended(begun(f"{s3}/shots/*.png", *estimate))
    assert (status, err) == (1, "")
    line = re.fullmatch(
        r"1000000 inputs: ([\d.]+) hours with 2 workers, ([\d.]+) at 2.5 an hour \(150 of 151 inputs scored, 151 rows, "
        r"([\d.]+) a second\)\n",
        out,
    )
    assert line
    assert float(line[1]) == pytest.approx(1e6 / float(line[3]) / 3600, rel=0.05)
    assert float(line[2]) == pytest.approx(float(line[1]) * 2.5, abs=0.02)


@pytest.mark.slow
def test_bad_requests_are_one_line_before_ray_starts(
    dpiqa: Callable[..., Ended], write_picture: Callable[..., Path], tmp_path: Path, s3: str
) -> None:
    picture, out = write_picture(), tmp_path / "out"
    other = write_picture("other/x.png").parent
    requests = {
        (picture,): "expected either --out URL or --estimate N",
        (picture, "--out", out, "--estimate", 5): "expected either --out URL or --estimate N",
        (picture, "--out", out, "--price-per-hour", 5): "--price-per-hour: needs --estimate N",
        (picture, "--out", out, "--fps", 0): "fps must be above 0",
        (picture, "--out", other): f"{other}: is not empty, choose another folder for --out",
        (picture, "--out", picture): f"{picture}: is a file, --out is a folder",
        (picture, "--out", "s3://nowhere/out"): "s3://nowhere/out/_inputs.parquet: the bucket does not exist",
        (tmp_path / "absent.txt", "--out", out): "absent.txt: no such file",
        (tmp_path / "absent.txt", "--estimate", 5): "absent.txt: no such file",
    }
    for arguments, reason in requests.items():
        status, printed, err = dpiqa("archive", *arguments)
        assert (status, printed, len(err.splitlines())) == (2, "", 1), arguments
        assert reason in err
    assert not list(out.glob("*"))


def test_an_archive_is_continued_only_as_it_was_begun(
    dpiqa: Callable[..., Ended], write_picture: Callable[..., Path], model_path: Path, tmp_path: Path
) -> None:
    folder, out = write_picture("shots/x.png").parent, tmp_path / "out"
    archive = ("archive", folder, "--out", out, "--model", model_path)
    store, blocks = open_archive(Request(str(folder), 1, model_path, "auto", 1), str(out), False)
    assert blocks == [0]
    refusals = {
        (): "holds an archive already, go on with --resume",
        ("--resume", "--fps", 2): "was begun with fps 1.0, not 2.0",
        ("--resume", "--model", "dpiqa-lite0"): "was begun with model brightness 1, not dpiqa-lite0",
    }
    for arguments, reason in refusals.items():
        status, _, err = dpiqa(*archive, *arguments)
        assert (status, len(err.splitlines())) == (2, 1)
        assert reason in err
    with store.writing(part_name(0)) as file:
        file.write(b"as though written")
    assert dpiqa(*archive, "--resume") == (0, f"{out}: complete\n", "")


def test_a_beginning_that_was_interrupted_is_begun_anew(
    write_picture: Callable[..., Path], model_path: Path, tmp_path: Path
) -> None:
    request = Request(str(write_picture("shots/x.png").parent), 1, model_path, "auto", 1)
    with Store(str(tmp_path / "out")).writing(INPUTS) as file:
        file.write(b"not to its end")
    store, blocks = open_archive(request, str(tmp_path / "out"), True)
    assert StoredBlocks(store).uris(blocks[0]) == [str(tmp_path / "shots" / "x.png")]


def test_without_ray_the_extra_is_named(dpiqa: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "ray" else True)
    expected = "dpiqa: dpiqa archive needs the package 'ray', install it with: pip install '.[ray]'\n"
    assert dpiqa("archive", "x", "--out", "y") == (4, "", expected)

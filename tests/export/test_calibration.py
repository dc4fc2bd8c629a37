"""Pictures for calibration: chosen the same way everywhere, and refused in one line when they are unusable."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from forked import call_module

from dpiqa.errors import InputError
from dpiqa.export import int8, verify
from dpiqa.export.gate.options import MIN_CALIBRATION
from dpiqa.export.gate.pictures import Pictures, enough, read_pictures
from dpiqa.export.quantization import quantize
from dpiqa.runtime.spec import InputSpec

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
SPEC = InputSpec(height=96, width=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of noise, and a table that rates them and sets two of them apart for testing."""
    path, rng, rows = tmp_path_factory.mktemp("ten"), np.random.default_rng(0), ["image,mos,split"]
    for number in range(10):
        cv2.imwrite(str(path / f"{number}.png"), rng.integers(0, 256, (80, 80, 3)).astype(np.uint8))
        rows.append(f"{number}.png,{10 * number},{'test' if number < 2 else 'train'}")
    (path / "scores.csv").write_text("\n".join(rows) + "\n")
    return path


def test_draw_depends_on_the_seed_and_the_pictures_alone(folder: Path, tmp_path: Path) -> None:
    pictures = read_pictures(str(folder), SPEC, 6, seed=1)
    assert [frame.shape for frame in pictures.frames] == [(96, 64, 3)] * 6
    assert len(set(pictures.names)) == 6
    elsewhere = read_pictures(str(shutil.copytree(folder, tmp_path / "copy")), SPEC, 6, seed=1)
    assert elsewhere.sha256 == pictures.sha256
    assert read_pictures(str(folder), SPEC, 6, seed=2).sha256 != pictures.sha256
    more = read_pictures(str(folder), SPEC, 10, seed=1)
    assert more.names[:6] == pictures.names
    assert not set(more[6:].names) & set(pictures.names)


def test_rated_pictures_come_from_the_training_part_with_their_mos(folder: Path) -> None:
    pictures = read_pictures(f"csv={folder / 'scores.csv'}", SPEC, 100, seed=0)
    numbers = [int(Path(name).stem) for name in pictures.names]
    assert min(numbers) >= 2
    assert pictures.mos is not None
    assert pictures.mos.tolist() == [10 * number for number in numbers]
    part = pictures[1:3].mos
    assert part is not None
    assert part.tolist() == pictures.mos[1:3].tolist()


def test_pictures_to_leave_out_take_their_group_with_them(folder: Path) -> None:
    table = folder / "grouped.csv"
    rows = [f"{number}.png,{10 * number},{'test' if number < 2 else 'train'},{number // 2}" for number in range(10)]
    table.write_text("\n".join(["image,mos,split,group", *rows]) + "\n")
    without = frozenset({"4.png", "9.png"})
    rated = read_pictures(f"csv={table}", SPEC, 100, seed=0, without=without)
    assert rated.names
    assert {Path(name).name for name in rated.names} < {"2.png", "3.png", "6.png", "7.png"}  # the rest: validation
    plain = read_pictures(str(folder), SPEC, 100, seed=0, without=without)
    assert {Path(name).name for name in plain.names} == {f"{number}.png" for number in (0, 1, 2, 3, 5, 6, 7, 8)}


def test_array_gives_the_frames_that_it_holds(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 96, 64, 3)).astype(np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    pictures = read_pictures(str(tmp_path / "frames.npy"), SPEC, 4, seed=0)
    for name, frame in zip(pictures.names, pictures.frames, strict=True):
        assert (frames[int(name.rpartition("[")[2][:-1])] == frame).all()


@pytest.mark.slow
def test_video_is_sampled_over_its_whole_length() -> None:
    pictures = read_pictures(str(CLIP), SPEC, 40, seed=0)
    indices = sorted(int(name.rpartition("[")[2][:-1]) for name in pictures.names)
    assert len(set(indices)) == len(indices) >= 38
    assert indices[0] < 15
    assert indices[-1] > 470


def test_too_few_pictures_are_refused_by_number(folder: Path) -> None:
    pictures = read_pictures(str(folder), SPEC, 300, seed=0)
    with pytest.raises(InputError, match=r"ten: 10 pictures, calibration needs at least 256"):
        enough(pictures, "ten", MIN_CALIBRATION)
    assert enough(pictures, "ten", 1) is pictures


def test_video_with_too_few_frames_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for number in range(20):
        writer.write(np.full((64, 64, 3), 10 * number, np.uint8))
    writer.release()
    with pytest.raises(InputError, match=r"short.avi: 20 pictures, calibration needs at least 256"):
        enough(read_pictures(str(video), SPEC, 300, seed=0), str(video), MIN_CALIBRATION)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda file: file.write_bytes(b"no array"), "not an array"),
        (lambda file: np.save(file, np.zeros((9, 64, 96, 3), np.uint8)), r"found uint8 \[9, 64, 96, 3\]"),
        (lambda file: np.save(file, np.zeros((9, 96, 64, 3), np.float32)), r"found float32 \[9, 96, 64, 3\]"),
        (lambda file: np.save(file, np.array([{}], object), allow_pickle=True), "not an array"),
        (lambda file: None, "no such file"),
    ],
)
def test_unusable_arrays_are_refused(write: Callable[[Path], object], complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "frames.npy"
    write(file)
    with pytest.raises(InputError, match=rf"frames.npy: .*{complaint}"):
        read_pictures(str(file), SPEC, 300, seed=0)


def test_cut_off_array_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "frames.npy"
    np.save(file, np.zeros((9, 96, 64, 3), np.uint8))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        read_pictures(str(file), SPEC, 300, seed=0)


def test_unreadable_picture_is_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "3.png").write_bytes((copy / "3.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"3\.png: the file is cut off"):
        read_pictures(str(copy), SPEC, 300, seed=0)


def test_commands_refuse_silence_and_too_little(exported: Path, folder: Path, tmp_path: Path) -> None:
    done = call_module("export.int8", "--model", exported, "--out", tmp_path / "q.onnx")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Missing option '--calibration'" in done.stderr
    quantize = partial(int8.main, exported, str(folder), tmp_path / "q.onnx")
    with pytest.raises(InputError, match="10 pictures, calibration needs at least 256"):
        quantize()
    with pytest.raises(InputError, match="--images 10: calibration needs at least 256"):
        quantize(images=10)
    with pytest.raises(InputError, match="--keep and --auto-repair exclude each other"):
        quantize(keep=1, auto_repair=True)
    with pytest.raises(InputError, match="10 pictures, the gate needs at least 500"):
        verify.main(exported, exported, str(folder))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "with_repair", "few", "parts"),
    [
        (800, False, False, (300, 0, 500)),
        (1300, True, False, (300, 500, 500)),
        (1500, True, False, (300, 700, 500)),
        (9999, True, False, (300, 1000, 500)),
        (90, False, True, (45, 0, 45)),
        (90, True, True, (30, 30, 30)),
    ],
)
def test_no_picture_serves_two_purposes(count: int, with_repair: bool, few: bool, parts: tuple[int, int, int]) -> None:
    pictures = Pictures(np.zeros((count, 1, 1, 3), np.uint8), tuple(map(str, range(count))))
    divided = quantize.divide(pictures, 300, with_repair, few, "source")
    assert tuple(map(len, divided)) == parts
    names = [name for part in divided for name in part.names]
    assert len(set(names)) == len(names)


def test_gate_needs_pictures_that_nothing_was_chosen_on() -> None:
    pictures = Pictures(np.zeros((799, 1, 1, 3), np.uint8), tuple(map(str, range(799))))
    with pytest.raises(InputError, match="799 pictures, 800 are needed"):
        quantize.divide(pictures, 300, with_repair=False, few=False, text="source")

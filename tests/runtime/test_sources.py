"""Which files a name stands for, and which frames are read from a video."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import photo

from dpiqa.errors import InputError
from dpiqa.runtime.sources import expand, is_video
from dpiqa.runtime.video import Sampler, announced_duration_s, read_video
from dpiqa.runtime.video.convert import Converter

Write = Callable[..., Path]


def _tree(tmp_path: Path, *names: str) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_is_every_picture_and_video_below_it_in_order(tmp_path: Path) -> None:
    _tree(tmp_path, "b.JPG", "a.png", "z/c.mp4", "z/y/d.webp", "notes.txt", ".hidden.png", ".git/e.png")
    found = [Path(path).relative_to(tmp_path).as_posix() for path in expand(tmp_path)]
    assert found == ["a.png", "b.JPG", "z/c.mp4", "z/y/d.webp"]


def test_a_glob_is_what_it_matches_as_though_typed(tmp_path: Path) -> None:
    _tree(tmp_path, "a1.png", "a2.txt", "b/c.png", "b/d.txt", "b/e/f.png")
    for pattern, names in (
        ("a*", ["a1.png", "a2.txt"]),
        ("b*", ["b/c.png", "b/e/f.png"]),
        ("**/*.png", ["a1.png", "b/c.png", "b/e/f.png"]),
    ):
        assert [Path(path).relative_to(tmp_path).as_posix() for path in expand(tmp_path / pattern)] == names


def test_a_glob_names_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tree(tmp_path, "tree/a.png", "tree/b/c.png", "tree/b/d/e.png")
    monkeypatch.chdir(tmp_path)
    for pattern in ("tree/**", "./tree/**", "tree/**/*"):
        assert [Path(path).as_posix() for path in expand(pattern)] == ["tree/a.png", "tree/b/c.png", "tree/b/d/e.png"]


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    _tree(tmp_path, "a[1].png", "a1.png")
    assert list(expand(tmp_path / "a[1].png")) == [str(tmp_path / "a[1].png")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.png", "no such file or folder"),
        ("n" * 300, "file name too long|no such file or folder"),
        ("*.png", "matches no file"),
        ("", "no picture or video in this folder"),
    ],
)
def test_names_for_nothing(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(expand(tmp_path / name))


def test_the_suffix_decides_else_the_content(write_picture: Write, write_video: Write, tmp_path: Path) -> None:
    picture, video = write_picture(), write_video([photo()])
    assert [is_video(str(picture)), is_video(str(video))] == [False, True]
    for file, expected in ((picture, False), (video, True)):
        anonymous = tmp_path / f"{file.stem}_without_suffix"
        anonymous.write_bytes(file.read_bytes())
        assert is_video(str(anonymous)) == expected


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs a file that nobody can read from its start")
def test_a_file_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="/proc/self/mem: "):
        is_video("/proc/self/mem")


def test_frames_come_with_their_time_and_number(write_video: Write) -> None:
    shown = [photo(seed=seed) for seed in range(7)]
    path = str(write_video(shown, fps=5))
    frames = list(read_video(path))
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.pts_s for frame in frames] == pytest.approx([index / 5 for index in range(7)])
    assert announced_duration_s(path) == pytest.approx(1.4)
    for frame, pixels in zip(frames, shown, strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels)


def test_sampling_keeps_the_original_numbers(write_video: Write) -> None:
    frames = list(read_video(str(write_video([photo()] * 20, fps=10)), fps=2))
    assert [frame.index for frame in frames] == [0, 5, 10, 15]


def test_a_name_like_a_protocol_or_pattern_is_a_file(
    write_video: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.avi", "clip%03d.avi", "\u00fc clip.avi"):
        write_video([photo()]).rename(tmp_path / name)
        assert len(list(read_video(name))) == 1


def test_a_cut_off_video_is_scored_as_far_as_it_goes_and_told(
    write_video: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_video([photo(seed=seed) for seed in range(20)]).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING, "runtime"):
        frames = list(read_video(str(cut)))
    assert 5 < len(frames) < 12
    assert "of 2.0 s, it was trimmed or is damaged" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"some words\n" * 50, "not a video that can be decoded"),
        ("h\u00e9llo\n".encode("latin-1") * 50, "not a video that can be decoded"),
        (bytes(5000), "not a video that can be decoded"),
    ],
)
@pytest.mark.parametrize("name", ["clip.mp4", "notes.txt"])
def test_files_that_are_no_video(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        next(read_video(str(tmp_path / name)))


def test_a_video_of_which_no_frame_can_be_shown_is_refused(write_video: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video([photo()] * 3)
    monkeypatch.setattr(Converter, "planes", lambda *_: None)
    with pytest.raises(InputError, match="no frame of this video can be decoded"):
        list(read_video(str(clip)))


def test_a_playlist_is_not_followed(write_video: Write) -> None:
    clip = write_video([photo()])
    playlist = clip.with_name("list.mp4")
    playlist.write_text(f"ffconcat version 1.0\nfile {clip.name}\n")
    with pytest.raises(InputError, match="not a video that can be decoded"):
        next(read_video(str(playlist)))


def test_a_name_that_is_not_utf8_is_refused(write_video: Write) -> None:
    path = write_video([photo()])
    other = path.with_name("clip\udcff.avi")
    try:
        path.rename(other)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes only valid names")
    with pytest.raises(InputError, match="must be valid UTF-8, rename it"):
        next(read_video(str(other)))


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_sampling(fps: float) -> None:
    with pytest.raises(InputError, match="fps must be above 0"):
        Sampler(fps)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=200), st.floats(0.5, 60))
def test_sampling_a_variable_rate_neither_crowds_nor_starves(gaps: list[float], fps: float) -> None:
    pts = list(accumulate(gaps))
    sampler = Sampler(fps)
    taken = [time for time in pts if sampler.takes(time)]
    assert taken[0] == pts[0]
    assert len(taken) <= (pts[-1] - pts[0]) * fps + 2
    for early, late in pairwise([*taken, pts[-1] + 1 / fps]):
        passed_over = [time for time in pts if early < time < late]
        assert all(time - early < 1 / fps for time in passed_over)


@pytest.mark.parametrize("rate", [24, 25, 30000 / 1001, 30, 60])
def test_sampling_at_the_videos_own_rate_takes_all_despite_rounded_times(rate: float) -> None:
    sampler = Sampler(rate)
    assert all(sampler.takes(round(index / rate, 3)) for index in range(5000))

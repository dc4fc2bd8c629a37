"""One reader for every video: whatever the coding, the score is of what a person would see."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from coded import (
    COUNT,
    HEIGHT,
    RATE,
    WIDTH,
    X264,
    Pictures,
    converted,
    encode,
    flagged,
    scores,
    set_display_matrix,
    with_cover,
    woven,
)

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.runtime.video import announced_duration_s, read_video
from dpiqa.runtime.video.deinterlace import is_combed

CODINGS = [
    ("ffv1", "yuv420p", "mkv", {}, 1.0),
    ("ffv1", "yuv422p10le", "mkv", {}, 1.0),
    ("ffv1", "yuv444p", "mkv", {}, 1.0),
    ("ffv1", "bgr0", "mkv", {}, 0.1),
    ("rawvideo", "nv12", "nut", {}, 1.0),
    ("rawvideo", "yuyv422", "nut", {}, 1.0),
    ("rawvideo", "uyvy422", "avi", {}, 1.0),
    ("rawvideo", "yuv420p10le", "nut", {}, 1.0),
    ("rawvideo", "yuv420p", "y4m", {}, 1.0),
    ("libx264", "yuv420p", "mp4", X264, 2.0),
    ("libx264", "yuv420p10le", "mkv", X264, 2.0),
    ("libx264", "yuv422p", "mov", X264, 2.0),
    ("libx264", "yuv444p", "mp4", X264, 2.0),
    ("mpeg2video", "yuv420p", "ts", {"qmin": "1", "qmax": "2"}, 2.0),
    ("mpeg2video", "yuv422p", "mpg", {"qmin": "1", "qmax": "2"}, 2.0),
    ("prores_ks", "yuv422p10le", "mov", {}, 2.0),
    ("mjpeg", "yuvj420p", "avi", {"qmin": "1", "qmax": "2"}, 2.0),
    ("libx265", "yuv420p", "mp4", {"preset": "ultrafast", "crf": "6", "x265-params": "log-level=none"}, 2.0),
    ("libx265", "yuv420p10le", "mp4", {"preset": "ultrafast", "crf": "6", "x265-params": "log-level=none"}, 2.0),
    ("libvpx-vp9", "yuv420p", "webm", {"crf": "8", "cpu-used": "8", "deadline": "realtime"}, 2.0),
    ("libsvtav1", "yuv420p", "mp4", {"preset": "12", "crf": "10"}, 2.0),
    ("libsvtav1", "yuv420p10le", "mkv", {"preset": "12", "crf": "10"}, 2.0),
]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "options", "tolerance"), CODINGS, ids=[" ".join(coding[:3]) for coding in CODINGS]
)
def test_the_coding_does_not_change_the_score(
    scorer: Scorer,
    moving: Pictures,
    expected: list[float],
    tmp_path: Path,
    codec: str,
    pix_fmt: str,
    suffix: str,
    options: dict[str, str],
    tolerance: float,
) -> None:
    if codec not in av.codec.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    path = encode(
        tmp_path / f"clip.{suffix}",
        moving[:COUNT],
        codec,
        pix_fmt,
        full="yuvj" in pix_fmt,
        matrix=6 if codec in ("mjpeg", "rawvideo") else 1,
        options=options,
    )
    assert scores(scorer, path) == pytest.approx(expected[:COUNT], abs=tolerance)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264", "prores_ks", "ffv1"])
def test_fields_are_shown_as_whole_frames(scorer: Scorer, panning: Pictures, tmp_path: Path, codec: str) -> None:
    coding: dict[str, Any] = {
        "mpeg2video": {"options": {"qmin": "1", "qmax": "2", "flags": "+ilme+ildct"}},
        "libx264": {"options": {**X264, "flags": "+ilme+ildct", "x264-params": "tff=1"}},
        "prores_ks": {"options": {"flags": "+ildct"}},
        "ffv1": {},
    }[codec]
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv422p" if codec != "libx264" else "yuv444p"
    path = encode(
        tmp_path / ("fields.mkv" if codec == "ffv1" else "fields.mov"),
        woven(panning),
        codec,
        pix_fmt,
        fields=True,
        **coding,
    )
    combed = [scorer.score(picture).score for picture in woven(panning)]
    whole = [scorer.score(picture).score for picture in panning[::2]]
    assert max(combed) < min(whole) - 3
    assert scores(scorer, path) == pytest.approx(whole, abs=1.5)
    assert len(set(scores(scorer, path))) == len(whole)


@pytest.mark.parametrize("suffix", ["dv", "avi"])
def test_a_tape_of_dv_is_read_like_other_interlaced_video(
    scorer: Scorer, panning: Pictures, tmp_path: Path, suffix: str
) -> None:
    pal = [cv2.resize(picture, (720, 576), interpolation=cv2.INTER_AREA) for picture in panning]
    path = encode(tmp_path / f"tape.{suffix}", woven(pal), "dvvideo", "yuv420p", fields=True, matrix=6)
    assert scores(scorer, path) == pytest.approx([scorer.score(picture).score for picture in pal[::2]], abs=2)


def test_progressive_frames_that_are_only_flagged_stay_as_they_are(moving: Pictures, tmp_path: Path) -> None:
    flagged = encode(tmp_path / "flagged.mkv", moving, fields=True)
    plain = encode(tmp_path / "plain.mkv", moving)
    for one, other in zip(read_video(str(flagged)), read_video(str(plain)), strict=True):
        for a, b in zip(one.picture.planes, other.picture.planes, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [frame.pts_s for frame in read_video(str(flagged))] == [frame.pts_s for frame in read_video(str(plain))]


def test_fields_are_told_by_their_combs(moving: Pictures) -> None:
    luma = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in moving]
    assert not any(is_combed(np.asarray(picture, np.uint8)) for picture in luma)
    assert all(is_combed(picture) for picture in woven(luma))
    rng = np.random.default_rng(0)
    assert not is_combed(rng.integers(0, 256, (360, 640), np.uint8))
    assert not is_combed(np.zeros((16, 16), np.uint8))


def test_fields_after_whole_frames_and_before_others_keep_their_order_and_times(
    moving: Pictures, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.mkv"
    pictures = [*moving[:3], *woven(moving), *moving[:3]]
    flags = [None] * 3 + [True] * COUNT + [None] * 3
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv422p"
        for number, (picture, flag) in enumerate(zip(pictures, flags, strict=True)):
            frame = converted(av.VideoFrame.from_ndarray(picture, "bgr24"), "yuv422p", 6, 1)
            frame = flagged(frame) if flag else frame
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames = list(read_video(str(path)))
    assert [frame.index for frame in frames] == list(range(len(pictures)))
    assert [frame.pts_s for frame in frames] == pytest.approx([n / RATE for n in range(len(pictures))], abs=0.002)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_video_is_shown_upright(
    scorer: Scorer, moving: Pictures, expected: list[float], tmp_path: Path, degrees: int, mirrored: bool
) -> None:
    quarters = degrees // 90
    stored = [np.ascontiguousarray(np.rot90(picture, -quarters)) for picture in moving[:2]]
    stored = [np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture for picture in stored]
    path = encode(tmp_path / "turned.mp4", stored, "libx264", options=X264)
    set_display_matrix(path, degrees, mirrored)
    frames = list(read_video(str(path)))
    assert frames[0].picture.size == (HEIGHT, WIDTH)
    assert np.abs(frames[0].pixels.astype(int) - moving[0]).mean() < 4
    assert scores(scorer, path) == pytest.approx(expected[:2], abs=2)


def test_the_tag_rotate_turns_what_has_no_matrix(moving: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "turned.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        stream.metadata["rotate"] = "90"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(moving[0], "bgr24").reformat(format="bgr0")))
        container.mux(stream.encode())
    (frame,) = read_video(str(path))
    np.testing.assert_array_equal(frame.pixels, np.rot90(moving[0], -1))


def test_wide_pixels_become_square(scorer: Scorer, moving: Pictures, expected: list[float], tmp_path: Path) -> None:
    narrow = [cv2.resize(picture, (480, 360), interpolation=cv2.INTER_AREA) for picture in moving[:2]]
    path = encode(tmp_path / "wide.mkv", narrow, "libx264", options=X264, sample_aspect_ratio=Fraction(4, 3))
    assert {frame.picture.size for frame in read_video(str(path))} == {(360, 640)}
    assert scores(scorer, path) == pytest.approx(expected[:2], abs=4)
    huge = encode(tmp_path / "huge.mkv", narrow, "libx264", options=X264, sample_aspect_ratio=Fraction(1000, 1))
    assert {frame.picture.size for frame in read_video(str(huge))} == {(360, 480)}


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p10le", "gray", "bgr0"])
@pytest.mark.parametrize("size", [(361, 641), (360, 641), (361, 640)])
def test_odd_sizes(scorer: Scorer, moving: Pictures, tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    picture = cv2.resize(moving[0], size[::-1], interpolation=cv2.INTER_LINEAR)
    path = encode(tmp_path / "odd.mkv", [picture], pix_fmt=pix_fmt)
    (frame,) = read_video(str(path))
    assert frame.picture.size == frame.pixels.shape[:2] == size
    visible = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if pix_fmt == "gray" else picture
    assert scores(scorer, path) == pytest.approx([scorer.score(visible).score], abs=1)


def test_the_default_stream_is_read_and_a_cover_is_none(moving: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("ffv1", rate=RATE) for _ in range(2)]
        for stream, scale, disposition in zip(streams, (2, 1), (Disposition(0), Disposition.default), strict=True):
            stream.height, stream.width, stream.pix_fmt = HEIGHT // scale, WIDTH // scale, "bgr0"
            stream.disposition = disposition
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(moving[0], "bgr24").reformat(stream.width, stream.height, "bgr0")
            frame.pts, frame.time_base = 0, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    (frame,) = read_video(str(path))
    assert frame.picture.size == (HEIGHT, WIDTH)


def test_sound_with_a_cover_is_no_video(moving: Pictures, tmp_path: Path) -> None:
    path = with_cover(tmp_path / "song.mp4", moving[0])
    for read in (lambda: next(read_video(str(path))), lambda: announced_duration_s(str(path))):
        with pytest.raises(InputError, match=r"song\.mp4: no video in it, only a cover picture$"):
            read()


def test_a_segment_that_starts_late_is_whole(
    moving: Pictures, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for suffix in ("mkv", "ts", "mp4"):
        path = tmp_path / f"late.{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options={**X264, "bf": "0"})
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            for number in range(20):
                frame = av.VideoFrame.from_ndarray(moving[number % 8], "bgr24")
                frame.pts, frame.time_base = 100 + number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        frames = list(read_video(str(path)))
        assert [frame.pts_s for frame in frames] == pytest.approx([n / RATE for n in range(20)], abs=0.002)
    assert "trimmed" not in caplog.text

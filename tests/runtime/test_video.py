"""One reader for every video: whatever the coding, the score is of what a person would see."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import cv2
import numpy as np
import pytest
from av.filter import Graph
from av.stream import Disposition
from made import Ended
from numpy.typing import NDArray

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.native import preprocess
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.planes import Colour, Planes
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.runtime.video import announced_duration_s, read_video
from dpiqa.runtime.video.deinterlace import is_combed

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
WIDTH, HEIGHT, COUNT, RATE = 640, 360, 4, 25
ENGINES = ["onnxruntime"] if why_absent() else ["onnxruntime", "openvino"]
Command = Callable[..., Ended]
Pictures = Sequence[NDArray[Any]]


@pytest.fixture(scope="module")
def moving() -> Pictures:
    """Frames of a picture that moves sideways, BGR, twice as many as a video has."""
    with av.open(str(CLIP)) as container:
        whole = next(container.decode(video=0)).reformat(1920, 1080, "bgr24").to_ndarray()
    rows = cv2.resize(whole, (960, 540), interpolation=cv2.INTER_AREA)
    return [np.ascontiguousarray(rows[90 : 90 + HEIGHT, 6 * n : 6 * n + WIDTH]) for n in range(2 * COUNT)]


@pytest.fixture(scope="module")
def panning() -> Pictures:
    """Larger frames, which lose little by having every other line only."""
    with av.open(str(CLIP)) as container:
        whole = next(container.decode(video=0)).reformat(1920, 1080, "bgr24").to_ndarray()
    return [np.ascontiguousarray(whole[100:820, 3 * n : 3 * n + 1280]) for n in range(6)]


@pytest.fixture(scope="module", params=ENGINES)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return Scorer(engine=request.param, threads=1)


@pytest.fixture(scope="module")
def expected(scorer: Scorer, moving: Pictures) -> list[float]:
    """The scores of the frames themselves."""
    return [scorer.score(picture).score for picture in moving]


def encode(
    path: Path,
    pictures: Pictures,
    codec: str = "ffv1",
    pix_fmt: str = "yuv420p",
    matrix: int = 1,
    full: bool = False,
    options: dict[str, str] | None = None,
    fields: bool | None = None,
    rotation: tuple[int, bool] | None = None,
    tagged: bool = True,
    **attributes: Any,
) -> Path:
    """Write BGR frames in a coding; `matrix` is FFmpeg's number, `fields` flags the frames as interlaced."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        context, span = stream.codec_context, 2 if full else 1
        for name, value in attributes.items():
            setattr(context, name, value)
        if tagged:
            context.colorspace, context.color_range = matrix, span
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame = _coded(frame, pix_fmt, matrix, span)
            if fields is not None:
                frame = _flagged(frame)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            if not tagged:
                frame.colorspace, frame.color_range = 2, 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _coded(frame: av.VideoFrame, pix_fmt: str, matrix: int, span: int) -> av.VideoFrame:
    if frame.format.name == pix_fmt:
        return frame
    number = {1: 1, 5: 5, 6: 5, 9: 9}[matrix]
    return frame.reformat(format=pix_fmt, src_colorspace=5, dst_colorspace=number, dst_color_range=span)


def _flagged(frame: av.VideoFrame) -> av.VideoFrame:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, RATE))
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.vpull()


def woven(pictures: Pictures) -> Pictures:
    """Frames whose even lines are of one moment and whose odd lines are of the next."""
    frames = []
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        frame = first.copy()
        frame[1::2] = second[1::2]
        frames.append(frame)
    return frames


def scores(scorer: Scorer, path: Path) -> list[float]:
    return [reading.score for reading in scorer.stream(path)]


X264 = {"preset": "ultrafast", "crf": "6"}
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
    assert max(combed) < min(whole) - 4
    assert scores(scorer, path) == pytest.approx(whole, abs=2)
    assert len(set(scores(scorer, path))) == len(whole)


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
            frame = _coded(av.VideoFrame.from_ndarray(picture, "bgr24"), "yuv422p", 6, 1)
            frame = _flagged(frame) if flag else frame
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
    _set_display_matrix(path, degrees, mirrored)
    frames = list(read_video(str(path)))
    assert frames[0].picture.size == (HEIGHT, WIDTH)
    assert np.abs(frames[0].pixels.astype(int) - moving[0]).mean() < 4
    assert scores(scorer, path) == pytest.approx(expected[:2], abs=2)


def _set_display_matrix(path: Path, degrees: int, mirrored: bool) -> None:
    """Write a matrix into the track's header: mirror first, then turn counter-clockwise by `degrees`."""
    a, b = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    c, d = -b, a
    if mirrored:
        a, b = -a, -b
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + len(identity) :])


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


BARS = [(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255), (0, 0, 255), (255, 0, 0), (0, 0, 0)]


def bars(height: int, width: int = 1280) -> NDArray[np.uint8]:
    """Bars of colour at three quarters of their strength, BGR."""
    row = np.repeat(np.array(BARS, np.uint8) // 4 * 3, width // len(BARS), axis=0)
    return np.broadcast_to(row, (height, *row.shape)).copy()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p", "nv12"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colours_are_those_of_the_tags(tmp_path: Path, pix_fmt: str, matrix: int, full: bool) -> None:
    if pix_fmt == "nv12":
        path = encode(tmp_path / "bars.mp4", [bars(720)], "libx264", pix_fmt, matrix, full, {**X264, "qp": "0"})
    else:
        path = encode(tmp_path / "bars.mkv", [bars(720)], pix_fmt=pix_fmt, matrix=matrix, full=full)
    (frame,) = read_video(str(path))
    middles = slice(80, None, 160)
    assert np.abs(frame.pixels[300, middles].astype(int) - bars(720)[300, middles]).max() <= 4
    rgb = to_input(frame.picture, InputSpec(height=360, width=640))
    assert np.abs(rgb[150, 40::80, ::-1].astype(int) - bars(720)[300, middles]).max() <= 4


@pytest.mark.parametrize(("lines", "matrix"), [(718, 6), (720, 1)])
def test_without_tags_the_number_of_lines_decides(tmp_path: Path, lines: int, matrix: int) -> None:
    path = encode(tmp_path / "bars.y4m", [bars(lines)], "rawvideo", matrix=matrix, tagged=False)
    (frame,) = read_video(str(path))
    assert frame.picture.colour == ("bt601-limited" if matrix == 6 else "bt709-limited")
    middles = slice(80, None, 160)
    assert np.abs(frame.pixels[300, middles].astype(int) - bars(lines)[300, middles]).max() <= 4


def _hdr(picture: NDArray[np.uint8], curve: int) -> NDArray[np.uint16]:
    """A picture in BT.2020 and PQ (16) or HLG (18), white at 203 nits, RGB uint16."""
    light = (picture[..., ::-1].astype(np.float64) / 255) ** 2.4
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    light = light @ to_2020.T
    if curve == 16:
        power = (light * 203 / 10000) ** 0.1593017578125
        coded = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        scene = (light * 0.265) / np.maximum(light @ [0.2627, 0.678, 0.0593], 1e-6)[..., None] ** (1 - 1 / 1.2)
        logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)
    return np.rint(np.clip(coded, 0, 1) * 65535).astype(np.uint16)


@pytest.mark.parametrize("curve", [16, pytest.param(18, marks=pytest.mark.slow)], ids=["PQ", "HLG"])
def test_high_dynamic_range_is_brought_to_the_screens(
    scorer: Scorer, moving: Pictures, expected: list[float], tmp_path: Path, curve: int
) -> None:
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = 9, 1, curve, 9
        for number, picture in enumerate(moving[:2]):
            frame = av.VideoFrame.from_ndarray(_hdr(picture, curve), "rgb48le")
            frame = frame.reformat(format="yuv420p10le", src_colorspace=5, dst_colorspace=9, dst_color_range=1)
            frame.color_trc, frame.color_primaries, frame.pts, frame.time_base = curve, 9, number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frame = next(iter(read_video(str(path))))
    assert abs(frame.pixels.mean() - moving[0].mean()) / 255 < 0.1
    assert scores(scorer, path) == pytest.approx(expected[:2], abs=2)


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


def with_cover(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Sound with a cover picture."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = picture.shape[0], picture.shape[1], "yuvj420p"
        cover.disposition = Disposition.attached_pic
        packets = cover.encode(av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="yuvj420p"))
        packets += cover.encode()
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        container.mux([*sound.encode(silence), *sound.encode()])
        container.mux(packets)
    return path


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


@pytest.mark.skipif(bool(why_absent()), reason="needs the native core")
def test_the_core_scores_the_planes_of_any_decoder_like_the_reader(tmp_path: Path, moving: Pictures) -> None:
    from dpiqa.native import Model
    from dpiqa.runtime.models import shipped_model

    path = encode(tmp_path / "tagged.mp4", moving[:COUNT], "libx264", options=X264)
    model = Model(shipped_model(), engine="openvino", threads=1, force_float32=True)
    with av.open(str(path)) as container:
        nv12 = [frame.reformat(format="nv12").to_ndarray() for frame in container.decode(video=0)]
    bare = [model.score(planes, "nv12", "bt709-limited").score for planes in nv12]
    for engine in ENGINES:
        assert scores(Scorer(engine=engine, threads=1), path) == pytest.approx(bare, abs=0.3)


@pytest.mark.skipif(bool(why_absent()), reason="needs the native core")
@pytest.mark.parametrize("colour", ["bt601-limited", "bt601-full", "bt709-limited", "bt709-full"])
@pytest.mark.parametrize("size", [(96, 128), (360, 640), (500, 300)])
def test_planes_are_resized_as_the_core_does(size: tuple[int, int], colour: Colour) -> None:
    rng, (height, width) = np.random.default_rng(1), size

    def plane(*shape: int) -> NDArray[np.uint8]:
        coarse = rng.integers(0, 256, (shape[0] // 8 + 1, shape[1] // 8 + 1, *shape[2:]), np.uint8)
        return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)

    luma = plane(height, width)
    u, v = plane(height // 2, width // 2), plane(height // 2, width // 2)
    yuyv = np.stack([luma, np.stack([u, v], axis=-1).repeat(2, axis=0).reshape(height, width)], axis=-1)
    for picture in (
        Planes((luma, u, v), "i420", colour),
        Planes((luma, np.stack([u, v], axis=-1)), "nv12", colour),
        Planes((yuyv,), "yuyv", colour),
    ):
        ours = to_input(picture, InputSpec(height=224, width=288))
        core = preprocess(picture.planes, 288, 224, picture.format, picture.colour)
        difference = np.abs(ours.astype(int) - core)
        assert difference.max() <= 2
        assert (difference > 1).mean() < 0.001
        assert np.abs(picture.bgr.astype(int).mean((0, 1)) - ours[..., ::-1].mean((0, 1))).max() < 2


def _cases(folder: Path, moving: Pictures, panning: Pictures) -> dict[str, tuple[Path, float]]:
    """Files and how far their scores may be from those of `moving`."""
    turned = [np.ascontiguousarray(picture[::-1, ::-1]) for picture in moving[:COUNT]]
    rotated = encode(folder / "rotated.mp4", turned, "libx264", options=X264)
    _set_display_matrix(rotated, 180, False)
    av1 = encode(folder / "av1.mp4", moving[:COUNT], "libsvtav1", options={"preset": "12", "crf": "10"})
    plain = encode(folder / "plain.mp4", moving[:COUNT], "libx264", options=X264)
    fields = encode(folder / "fields.mkv", woven(panning), pix_fmt="yuv422p", fields=True)
    return {"plain": (plain, 1), "rotated": (rotated, 2), "av1": (av1, 2), "fields": (fields, 4)}


@pytest.mark.parametrize("engine", ENGINES)
def test_score_monitor_and_python_agree_in_any_order(
    dpiqa: Command, moving: Pictures, panning: Pictures, tmp_path: Path, engine: str
) -> None:
    files = [path for path, _ in _cases(tmp_path, moving, panning).values()]
    scorer = Scorer(engine=engine, threads=1)
    alone = {str(path): pytest.approx(scores(scorer, path), abs=0.01) for path in files}
    for order in (files, files[::-1]):
        ended = dpiqa("score", *order, "--engine", engine, "--threads", 1, "--format", "json")
        assert ended.status == 0
        assert _by_source(ended.out) == alone
    options = ["--engine", engine, "--model", "dpiqa-lite0", "--fps", 1000, "--sqlite", "none", "--jsonl", "-"]
    ended = dpiqa("monitor", *files, *options)
    assert ended.status == 0
    assert _by_source(ended.out) == alone


def _by_source(lines: str) -> dict[str, list[float]]:
    by_source: dict[str, list[float]] = {}
    for line in map(json.loads, lines.splitlines()):
        if line["type"] == "reading":
            by_source.setdefault(line["source"], []).append(line["score"])
    return by_source


@pytest.mark.parametrize("verb", ["score", "monitor"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_name_cannot_reach_the_terminal(
    dpiqa: Command, moving: Pictures, tmp_path: Path, verb: str, form: str
) -> None:
    whole = encode(tmp_path / "a\x1b]0;owned\x07\x9b31m\u202e.mkv", moving[:2])
    broken = tmp_path / "b\x1b[2J\r.mkv"
    broken.write_bytes(bytes(5000))
    if verb == "monitor":
        ended = dpiqa("monitor", whole, broken, "--sqlite", "none", "--jsonl", "-")
    else:
        ended = dpiqa("score", whole, broken, "--format", form)
    assert ended.status == 1
    harmful = set("\x1b\x07\r\x9b\u202e")
    if form == "table" or verb == "monitor":  # what score writes into a pipe keeps the name
        assert not harmful & set(ended.out)
    assert not harmful & set(ended.err)
    assert r"b\x1b[2J\r.mkv" in ended.err


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 3],
    "header only": lambda data: data[:200],
    "flipped": lambda data: bytes(byte ^ 0xFF if at % 97 == 0 else byte for at, byte in enumerate(data)),
    "zeros": lambda data: data[:1000] + bytes(50_000),
    "twice": lambda data: data[: len(data) // 2] + data,
    "text playlist": lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n#EXT-X-ENDLIST\n",
    "playlist with a tail": lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n\0\xff" + bytes(2000),
    "list with a tail": lambda _: b"ffconcat version 1.0\nfile clip.mkv\n\0\xff" + bytes(2000),
    "session": lambda _: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n\0" * 20,
    "endless boxes": lambda _: (
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 8, b"moov") * 50_000
    ),
    "huge box": lambda _: struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4sQ", 1, b"moov", 1 << 62),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("suffix", ["mkv", *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in ("mp4", "ts"))])
def test_hostile_files_end_soon_in_one_line(
    dpiqa: Command, moving: Pictures, tmp_path: Path, kind: str, suffix: str
) -> None:
    clip = encode(tmp_path / f"clip.{suffix}", moving[:COUNT], "libx264", options=X264)
    (tmp_path / "clip.mkv").write_bytes(clip.read_bytes())
    bad = tmp_path / f"bad.{suffix}"
    bad.write_bytes(HOSTILE[kind](clip.read_bytes()))
    begin = time.monotonic()
    ended = dpiqa("score", bad, "--engine", "onnxruntime", "--threads", 1, "--format", "json")
    assert time.monotonic() - begin < 10
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 1
    assert ended.status == (0 if '"reading"' in ended.out else 2)
    if "list" in kind or kind == "session":
        assert "not a video that can be decoded" in ended.err


def test_a_name_like_a_protocol_is_a_file_for_the_monitor(
    dpiqa: Command, moving: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.mkv", "concat:a|b.mkv", "clip%03d.mkv"):
        encode(tmp_path / "clip.mkv", moving[:2]).rename(tmp_path / name)
        ended = dpiqa("monitor", name, "--sqlite", "none", "--jsonl", "-", "--fps", 1000)
        assert (ended.status, len(_by_source(ended.out)[name])) == (0, 2)

"""The colours of video: matrix, range and curve by the tags, in the reader as in the core."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import av.codec
import cv2
import numpy as np
import pytest
from coded import (
    COUNT,
    ENGINES,
    HEIGHT,
    RATE,
    WIDTH,
    X264,
    Pictures,
    encode,
    scores,
)
from numpy.typing import NDArray

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.native import preprocess
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.planes import Colour, Planes
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.runtime.video import convert, read_video

MAPS_COLOURS = int(av.__version__.split(".")[0]) >= 18
needs_mapping = pytest.mark.skipif(not MAPS_COLOURS, reason="HDR and BT.2020 need PyAV 18")

BARS = [(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255), (0, 0, 255), (255, 0, 0), (0, 0, 0)]


def bars(height: int, width: int = 1280) -> NDArray[np.uint8]:
    """Bars of colour at three quarters of their strength, BGR."""
    row = np.repeat(np.array(BARS, np.uint8) // 4 * 3, width // len(BARS), axis=0)
    return np.broadcast_to(row, (height, *row.shape)).copy()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p", "nv12"])
@pytest.mark.parametrize("matrix", [1, 6, pytest.param(9, marks=needs_mapping)])
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


def test_wide_colours_are_refused_where_pyav_cannot_map_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "bars.mkv", [bars(720)], matrix=9)
    monkeypatch.setattr(convert, "_MAPS_COLOURS", False)
    with pytest.raises(InputError, match="need PyAV 18 or later"):
        list(read_video(str(path)))


@needs_mapping
@pytest.mark.slow
@pytest.mark.parametrize("curve", [16, 18], ids=["PQ", "HLG"])
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


@pytest.mark.slow
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

"""The Python API: the same picture has the same score however it arrives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import MakeModel, halves, make_spec, photo
from PIL import Image

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.runtime.pictures import read_picture

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def scorer(model_path: Path) -> Scorer:
    return Scorer(model_path, threads=1)


def test_three_lines_give_the_score_that_the_model_defines(scorer: Scorer) -> None:
    bgr = halves((204, 102, 51), 50, 70)
    reading = scorer.score(bgr)
    assert reading.score == pytest.approx(20 * 51 / 255 + 30 * 102 / 255 + 50 * 204 / 255, abs=0.01)
    assert (reading.source, reading.index, reading.pts_s, reading.band) == ("array", 0, None, "fair")
    assert set(reading.latency_ms) == {"preprocess", "infer", "total"}
    assert reading.causes == {}


@pytest.mark.parametrize("shape", [(96, 128), (333, 517), (40, 600), (64, 64)])
def test_path_array_and_lossless_video_agree(
    scorer: Scorer, write_picture: Write, write_video: Write, shape: tuple[int, int]
) -> None:
    pixels = photo(*shape)
    path, clip = write_picture(pixels=pixels), write_video([pixels])
    from_path = scorer.score(path)
    (from_video,) = scorer.stream(clip)
    assert from_path.score == pytest.approx(scorer.score(pixels).score, abs=0.001)
    assert from_video.score == pytest.approx(from_path.score, abs=0.1)
    assert (from_path.source, from_video.source, from_video.pts_s) == (str(path), str(clip), 0)
    assert set(from_path.latency_ms) == set(from_video.latency_ms) == {"decode", "preprocess", "infer", "total"}
    assert from_path.latency_ms["total"] >= from_path.latency_ms["infer"] > 0


def test_grey_arrays_and_views_are_scored(scorer: Scorer) -> None:
    grey = photo()[..., 1]
    assert scorer.score(grey).score == scorer.score(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)).score
    assert scorer.score(photo()[::-1, ::-1]).score == pytest.approx(scorer.score(photo()).score, abs=0.5)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((50, 50, 3), np.float32), r"found float32 \[50, 50, 3\]"),
        (np.zeros((50, 50, 4), np.uint8), r"found uint8 \[50, 50, 4\]"),
        (np.zeros((1, 50, 50, 3), np.uint8), "expected uint8"),
        (np.zeros(50, np.uint8), "expected uint8"),
        (np.zeros((0, 0, 3), np.uint8), "too small"),
        (np.zeros((1, 1), np.uint8), "1x1 pixels is too small"),
    ],
)
def test_other_arrays_are_refused(scorer: Scorer, array: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scorer.score(array)


def test_depth_grey_and_opaque_alpha_do_not_change_the_score(scorer: Scorer, write_picture: Write) -> None:
    pixels = photo()
    expected = scorer.score(pixels).score
    deep = write_picture("deep.png", pixels.astype(np.uint16) * 257)
    opaque = write_picture("opaque.png", cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA))
    assert scorer.score(deep).score == pytest.approx(expected, abs=0.01)
    assert scorer.score(opaque).score == expected
    assert scorer.score(write_picture("grey.png", pixels[..., 1])).score == scorer.score(pixels[..., 1]).score


def test_cmyk_is_scored_like_the_rgb_it_shows(scorer: Scorer, tmp_path: Path) -> None:
    rgb = Image.fromarray(cv2.cvtColor(photo(), cv2.COLOR_BGR2RGB))
    rgb.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    assert scorer.score(tmp_path / "cmyk.jpg").score == pytest.approx(scorer.score(photo()).score, abs=1)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(photo(96, 128)).save(tmp_path / "turned.jpg", exif=turned)
    assert read_picture(tmp_path / "turned.jpg").shape == (128, 96, 3)


@pytest.fixture(scope="module", params=[[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]])
def jpeg(request: pytest.FixtureRequest) -> bytes:
    """A JPEG whose metadata, as a thumbnail does, holds the markers of a scan and of an end."""
    data = cv2.imencode(".jpg", photo(48, 48), request.param)[1].tobytes()
    return data[:2] + b"\xff\xe1\x00\x06\xff\xda\xff\xd9" + data[2:]


@given(tail=st.binary())
@example(tail=b"\xff\xda")
@settings(deadline=None)
def test_a_jpeg_may_be_followed_by_anything(jpeg: bytes, tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "tail.jpg"
    path.write_bytes(jpeg + tail)
    assert read_picture(path).shape == (48, 48, 3)


@given(share=st.floats(0, 1, exclude_max=True))
@example(share=0.999999)
@settings(deadline=None)
def test_a_jpeg_cut_off_anywhere_is_refused(
    jpeg: bytes, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.jpg"
    path.write_bytes(jpeg[: int(share * len(jpeg))])
    with pytest.raises(InputError):
        read_picture(path)


def test_a_stream_is_lazy(scorer: Scorer, write_video: Write) -> None:
    clip = write_video([photo(level=level) for level in range(60, 200, 10)])
    readings = list(islice(scorer.stream(clip, fps=5), 3))
    assert [reading.index for reading in readings] == [0, 2, 4]
    assert [reading.pts_s for reading in readings] == pytest.approx([0, 0.2, 0.4])
    assert readings[0].score < readings[1].score < readings[2].score


def test_many_of_all_kinds_in_order(scorer: Scorer, write_picture: Write, write_video: Write) -> None:
    folder = write_picture("album/a.png").parent
    write_picture("album/b.png")
    clip = write_video([photo()] * 3)
    sources = [reading.source for reading in scorer.score_many([folder, photo(), clip, folder / "*b*"])]
    album = [str(folder / "a.png"), str(folder / "b.png")]
    assert sources == [*album, "array", str(clip), str(clip), str(clip), album[1]]


def test_a_video_is_no_picture(scorer: Scorer, write_video: Write) -> None:
    with pytest.raises(InputError, match="a video is scored with stream"):
        scorer.score(write_video([photo()]))


def test_causes_are_named(save_model: MakeModel) -> None:
    named = Scorer(save_model(make_spec(("blur", "noise")), outputs=("score", "causes")))
    reading = named.score(halves(51, 50, 50))
    assert reading.causes == pytest.approx({"blur": 0.8, "noise": 0.8}, abs=0.001)


def test_scoring_needs_neither_torch_nor_the_floors_above() -> None:
    code = (
        "import sys, runtime.cli, runtime.batch, runtime.plot, runtime.scorer\n"
        "heavy = {'torch', 'onnx', 'train', 'export', 'pandas', 'scipy'} & sys.modules.keys()\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_becomes_a_data_frame(save_model: MakeModel, write_picture: Write, write_video: Write) -> None:
    pytest.importorskip("pandas")
    scorer = Scorer(save_model(make_spec(("blur",)), outputs=("score", "causes")))
    folder = write_picture("album/a.png").parent
    (folder / "b.png").write_bytes(b"broken")
    write_video([photo()] * 20, "album/c.avi")
    frame = scorer.folder(folder, fps=2)
    assert list(frame.columns) == ["source", "index", "pts_s", "score", "band", "void", "blur"]
    assert [Path(source).name for source in frame["source"]] == ["a.png", *["c.avi"] * 4]
    assert frame["blur"].to_numpy() == pytest.approx(1 - frame["score"].to_numpy() / 100, abs=0.001)
    assert [error.split(":")[0][-5:] for error in frame.attrs["errors"]] == ["b.png"]


def test_a_notebook_shows_a_reading(save_model: MakeModel) -> None:
    scorer = Scorer(save_model(make_spec(("low_light",)), outputs=("score", "causes")))
    html = scorer.score(photo(), source="<a>.png")._repr_html_()
    assert "&lt;a&gt;.png" in html
    assert "low light" in html

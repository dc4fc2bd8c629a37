"""What shows nothing is said so; what shows a little is not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made import Ended, MakeModel, make_spec, photo
from numpy.typing import NDArray

from dpiqa import Scorer
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.void import Void, void_of

Write = Callable[..., Path]
Command = Callable[..., Ended]
Rule = Callable[[np.ndarray | Planes], Void | None]
TINY = Path(__file__).parents[1] / "cpp_bindings" / "data" / "tiny.onnx"
SIZES = [(1080, 1920), (480, 640), (96, 128), (600, 40)]
HD = (1080, 1920)


@pytest.fixture(scope="session")
def rule() -> Rule:
    """The rule in Python and, where the native core can be loaded, in C++: both must agree."""
    if why_absent():
        return lambda frame: void_of(*frame.samples()) if isinstance(frame, Planes) else void_of(frame)
    from dpiqa.native import Model

    core = Model(TINY, threads=1)

    def both(frame: np.ndarray | Planes) -> Void | None:
        planes = (
            frame
            if isinstance(frame, Planes)
            else Planes((np.ascontiguousarray(frame),), "bgr" if frame.ndim == 3 else "gray")
        )
        void = void_of(*planes.samples())
        assert core.score(planes.planes, planes.format, planes.colour).void == void
        return void

    return both


def _level(level: float | tuple[int, int, int], size: tuple[int, int] = HD) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def _grained(frame: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def _jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _with_clock(frame: np.ndarray, level: int = 255) -> np.ndarray:
    height, width = frame.shape[:2]
    frame = frame.copy()
    place = (width // 50, height // 15)
    cv2.putText(frame, "12:00:01", place, cv2.FONT_HERSHEY_SIMPLEX, height / 1600, (level,) * 3, max(1, height // 700))
    return frame


def _pattern(size: tuple[int, int]) -> np.ndarray:
    frame = _level(0, size)
    frame[::2, ::2] = frame[1::2, 1::2] = 255
    return frame


def _stars() -> np.ndarray:
    frame = _level(3)
    for x, y in np.random.default_rng(0).integers(10, 1000, (40, 2)):
        cv2.circle(frame, (int(x), int(y)), 1, (200, 200, 200), cv2.FILLED)
    return frame


def _test_card() -> np.ndarray:
    colours = [(192, 192, 192), (0, 192, 192), (192, 192, 0), (0, 192, 0), (192, 0, 192), (0, 0, 192), (192, 0, 0)]
    return cv2.resize(np.array([colours], np.uint8), HD[::-1], interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("level", "void"),
    [
        (0, "black"),
        (16, "black"),
        (22, "black"),
        (40, "flat"),
        (128, "flat"),
        (220, "flat"),
        (235, "white"),
        (255, "white"),
        ((255, 0, 0), "flat"),
        ((0, 0, 20), "black"),
    ],
)
def test_one_colour_is_void(size: tuple[int, int], level: int | tuple[int, int, int], void: str, rule: Rule) -> None:
    assert rule(_level(level, size)) == void
    if isinstance(level, int):
        assert rule(_level(level, size)[..., 0]) == void
        for quality in (10, 50, 95):
            assert rule(_jpeg(_level(level, size), quality)) == void


@pytest.mark.slow
@pytest.mark.parametrize("deviation", [1, 3, 10, 20, 30])
def test_grain_on_a_covered_lens_is_void(deviation: float, rule: Rule) -> None:
    assert rule(_grained(_level(0), deviation)) == "black"
    assert rule(_grained(_level(16), deviation)) == "black"
    assert rule(_grained(_level(128), deviation)) == "flat"
    assert rule(_jpeg(_grained(_level(2), deviation), 60)) == "black"


@pytest.mark.parametrize("size", [(480, 640), (240, 320)])
def test_grain_of_a_small_camera_is_void(size: tuple[int, int], rule: Rule) -> None:
    for deviation in (2, 5, 10):
        assert rule(_grained(_level(4, size), deviation)) == "black"
    for deviation in (2, 5):
        assert rule(_jpeg(_grained(_level(4, size), deviation), 30)) == "black"


PHOTO = cv2.resize(photo(270, 480), HD[::-1], interpolation=cv2.INTER_CUBIC).astype(float)


A_LITTLE = {
    "clock": _with_clock(_level(0)),
    "dim clock": _with_clock(_level(0), 90),
    "VGA clock": _with_clock(_level(0, (480, 640))),
    "tiny clock": _with_clock(_level(0, (96, 128)), 120),
    "clock in grain": _grained(_with_clock(_level(0)), 8),
    "clock as JPEG": _jpeg(_with_clock(_level(16)), 40),
    "night": (PHOTO / 16).astype(np.uint8),
    "grainy night": _grained(PHOTO / 16, 5),
    "fog": (200 * 0.93 + PHOTO * 0.07).astype(np.uint8),
    "grainy fog": _grained(200 * 0.9 + PHOTO * 0.1, 4),
    "stars": _stars(),
    "test card": _test_card(),
    "pattern": _pattern(HD),
    "VGA pattern": _pattern((480, 640)),
    "snow": np.random.default_rng(0).integers(0, 256, (*HD, 3)).astype(np.uint8),
    "UHD snow": np.random.default_rng(0).integers(0, 256, (2160, 3840, 3)).astype(np.uint8),
    "equal luma": np.vstack([_level((0, 100, 0), (540, 1920)), _level((0, 0, 196), (540, 1920))]),
    "8 levels apart": np.hstack([_level(100, (1080, 960)), _level(108, (1080, 960))]),
}


@pytest.mark.parametrize("frame", A_LITTLE.values(), ids=A_LITTLE)
def test_what_shows_a_little_is_not_void(frame: np.ndarray, rule: Rule) -> None:
    assert rule(frame) is None


def test_the_edge_is_six_levels_between_halves(rule: Rule) -> None:
    assert rule(np.hstack([_level(100, (1080, 960)), _level(106, (1080, 960))])) == "flat"
    assert rule(np.hstack([_level(100, (1080, 960)), _level(107, (1080, 960))])) is None


def _halved(plane: np.ndarray) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _yuv(frame: np.ndarray) -> list[Planes]:
    channels = (np.asarray(plane, np.uint8) for plane in cv2.split(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV)))
    y, u, v = (plane if place == 0 else _halved(plane) for place, plane in enumerate(channels))
    yuyv = np.dstack([y, np.dstack([np.repeat(u, 2, 0), np.repeat(v, 2, 0)]).reshape(y.shape)]).astype(np.uint8)
    uv = np.dstack([u, v]).astype(np.uint8)
    return [
        Planes((y, u, v), "i420", "bt601-full"),
        Planes((y, uv), "nv12", "bt601-full"),
        Planes((np.ascontiguousarray(yuyv),), "yuyv", "bt601-full"),
    ]


@pytest.mark.parametrize("name", ["fog", "clock", "equal luma", "test card"])
def test_planes_of_yuv_that_show_a_little_are_not_void(name: str, rule: Rule) -> None:
    assert [rule(planes) for planes in _yuv(A_LITTLE[name])] == [None] * 3


@pytest.mark.parametrize(("level", "void"), [(2, "black"), (128, "flat"), (250, "white")])
def test_planes_of_yuv_without_content_are_void(level: int, void: str, rule: Rule) -> None:
    assert [rule(planes) for planes in _yuv(_grained(_level(level), 4))] == [void] * 3


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_void_frame_scores_0_without_causes(save_model: MakeModel, engine: str) -> None:
    scorer = Scorer(save_model(make_spec(("blur",)), outputs=("score", "causes", "map")), engine)
    explanation = scorer.explain(_level(255, (64, 64)))
    reading = explanation.reading
    assert (reading.void, reading.score, reading.band, reading.causes) == ("white", 0, "bad", {})
    assert explanation.map is None
    assert scorer.score(photo()).void is None


@pytest.fixture
def score(dpiqa: Command, save_model: MakeModel) -> Command:
    model = save_model(make_spec(("blur",)), outputs=("score", "causes", "map"))
    return lambda *arguments: dpiqa("score", "--model", model, *arguments)


def test_every_output_says_so(score: Command, write_picture: Write, write_video: Write, tmp_path: Path) -> None:
    black = write_picture("black.png", _level(0, (64, 64)))
    clip = write_video([_level(128, (64, 64))] * 5 + [photo(64, 64)] * 5)
    first, *frames, summary = map(json.loads, score(black, clip, "--format", "json").out.splitlines())
    assert (first["void"], first["score"]) == ("black", 0)
    assert [frame["void"] for frame in frames] == ["flat"] * 5 + [None] * 5
    assert summary["void_frames"] == 5
    rows = list(csv.DictReader(io.StringIO(score(black, clip, "--format", "csv").out)))
    assert [row["void"] for row in rows] == ["black", *["flat"] * 5, *[""] * 5]
    table = score(black, clip, "--plot", tmp_path / "plot.png", "--explain", tmp_path / "why").out
    assert table.splitlines()[1].split()[:2] == ["0.0", "black"]
    assert table.splitlines()[-1] == "5 frames show nothing: black, white or one colour"
    plot = cv2.imread(str(tmp_path / "plot.png"))
    assert plot is not None
    assert (plot == 200).all(axis=2).mean() > 0.1, "a grey stretch over half of the video"
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == ["black.png.png", "clip.avi.png"]
    only = write_video([_level(0, (64, 64))] * 5, "only.avi")
    assert score(only).out.splitlines()[2].split() == ["0:00", "0.0", "0.0", "black"]

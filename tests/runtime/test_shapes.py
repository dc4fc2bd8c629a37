"""Models of several shapes: every engine brings a picture to the same one, and the whole runtime follows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import SIDE, MakeModel, brightness_model, make_spec, photo
from onnx import helper
from test_engines import NEEDS_NATIVE, every_engine

from dpiqa import Scorer
from dpiqa.errors import ContractError, EngineError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.planes import Planes
from dpiqa.train.model_files import save_model as save_model_file

OTHERS = ((32, 64), (64, 32), (96, 128), (128, 96))
SHAPES = ((SIDE, SIDE), *OTHERS)
OUTPUTS = ("score", "causes", "map")
SPEC = make_spec(("blur",), others=OTHERS)


@pytest.fixture(scope="module")
def shaped(save_model: MakeModel) -> Path:
    """A model of five shapes whose map has a cell for each of its pixels."""
    return save_model(SPEC, outputs=OUTPUTS)


@pytest.fixture(scope="module")
def engines(shaped: Path) -> list[Engine]:
    return [open_engine(shaped, name, threads=1) for name in ("onnxruntime", "openvino")]


def _map_size(engine: Engine, picture: np.ndarray | Planes) -> tuple[int, ...]:
    quality = engine.score(picture).prediction.map
    assert quality is not None
    return quality.shape


@NEEDS_NATIVE
@given(st.integers(32, 400), st.integers(32, 400))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_engines_choose_as_the_contract_does(engines: list[Engine], height: int, width: int) -> None:
    nearest = SPEC.input.nearest(height, width)
    for engine in engines:
        assert _map_size(engine, photo(height, width)) == (nearest.height, nearest.width)


@every_engine
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_scores_as_a_model_of_that_shape_alone(
    shaped: Path, save_model: MakeModel, name: str, shape: tuple[int, int]
) -> None:
    height, width = shape
    alone = open_engine(save_model(make_spec(("blur",), height, width), outputs=OUTPUTS), name, threads=1)
    engine = open_engine(shaped, name, threads=1)
    nv12 = cv2.cvtColor(photo(4 * height, 4 * width), cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
    planes = (nv12[: 4 * height], *nv12[4 * height :].reshape(2, 2 * height, 2 * width))
    for picture in (photo(3 * height, 3 * width), Planes(planes, "i420", "bt709-limited")):
        ours, theirs = (one.score(picture).prediction for one in (engine, alone))
        assert ours.score == theirs.score
        assert ours.map is not None
        assert theirs.map is not None
        np.testing.assert_array_equal(ours.map, theirs.map)
    frames = np.stack([photo(height, width, seed=seed) for seed in range(2)])
    assert [one.score for one in engine.infer(frames)] == [one.score for one in alone.infer(frames)]


@NEEDS_NATIVE
def test_engines_agree_in_every_shape(engines: list[Engine]) -> None:
    for number, (height, width) in enumerate(SHAPES):
        ours, theirs = (engine.score(photo(5 * height, 5 * width, seed=number)).prediction for engine in engines)
        assert ours.score == pytest.approx(theirs.score, abs=0.1)
        assert ours.map is not None
        assert theirs.map is not None
        assert ours.map.shape == theirs.map.shape
        assert np.abs(ours.map - theirs.map).mean() < 0.5


def test_pictures_of_all_shapes_in_a_row_score_as_alone(shaped: Path) -> None:
    pictures = [photo(2 * height, 2 * width, seed) for seed in range(3) for height, width in SHAPES]
    alone = [Scorer(shaped, jobs=1).score(picture).score for picture in pictures]
    assert [reading.score for reading in Scorer(shaped, jobs=3).score_many(pictures)] == pytest.approx(alone, abs=1e-4)


def test_an_explanation_has_a_map_of_the_pictures_shape(shaped: Path) -> None:
    quality = Scorer(shaped).explain(photo(120, 240)).map
    assert quality is not None
    assert quality.shape == (32, 64)


def test_frames_of_no_shape_in_the_contract_are_refused(shaped: Path) -> None:
    with pytest.raises(EngineError, match=r"takes frames of its contract's shapes, found \[1, 64, 96, 3\]"):
        open_engine(shaped, "onnxruntime").infer(np.zeros((1, 64, 96, 3), np.uint8))


@every_engine
def test_a_graph_of_one_size_cannot_have_several_shapes(save_model: MakeModel, name: str) -> None:
    fixed = save_model(make_spec(("blur",)), document=SPEC.to_json(), outputs=OUTPUTS)
    with pytest.raises(ContractError, match=r"'frames' must be uint8 \[N, H, W, 3\] with any N, H and W, found"):
        open_engine(fixed, name)
    free = save_model(SPEC, document=make_spec(("blur",)).to_json(), outputs=OUTPUTS)
    with pytest.raises(ContractError, match=r"'frames' must be uint8 \[N, 64, 64, 3\] with any N, found"):
        open_engine(free, name)


@NEEDS_NATIVE
def test_a_map_that_does_not_follow_the_frame_is_refused(tmp_path: Path) -> None:
    graph = brightness_model(SPEC, OUTPUTS)
    graph.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(values, np.int64), name)
        for name, values in {"start": [0], "end": [20], "rows": [1]}.items()
    )
    next(node for node in graph.graph.node if node.output[0] == "map").output[0] = "whole"
    graph.graph.node.append(helper.make_node("Slice", ["whole", "start", "end", "rows"], ["map"]))
    save_model_file(graph, SPEC, cut := tmp_path / "cut.onnx")
    with pytest.raises(
        ContractError, match=r"'map' must be the same whole part of the frame in every shape, found 20x64"
    ):
        open_engine(cut, "openvino")

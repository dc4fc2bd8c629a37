"""Calibrated scores lie on the user's scale in every engine, and ratings that cannot be followed are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.program import run
from dpiqa.runtime.spec import InputSpec, ModelSpec, ScoreSpec
from dpiqa.train import calibrate
from dpiqa.train.evaluation.score_map import fit_map
from dpiqa.train.model_files import load_model, read_contract, save_model

SIDE = 32
Ended = tuple[int, str]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run train.calibrate in this process: its exit status, and its lines on stderr."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["calibrate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run(calibrate.main)
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err.strip()

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose score is the frame's mean value, and whose map is the value of each pixel: 0 to 100."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "unit"], ["values"]),
        helper.make_node("ReduceMean", ["values", "colours"], ["map"], keepdims=0),
        helper.make_node("ReduceMean", ["map", "plane"], ["score"], keepdims=0),
    ]
    constants = {"unit": np.array(2.55, np.float32), "colours": np.array([3]), "plane": np.array([1, 2])}
    outputs = (("score", ["N"]), ("map", ["N", SIDE, SIDE]))
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    spec = ModelSpec(
        name="brightness",
        version="1",
        input=InputSpec(height=SIDE, width=SIDE),
        score=ScoreSpec(scale="brightness"),
        weights_sha256="0" * 64,
        licence="CC0-1.0",
    )
    file = tmp_path_factory.mktemp("model") / "brightness.onnx"
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), spec, file)
    return file


def _rate(folder: Path, rating: Callable[[float], float], count: int = 60) -> Path:
    """Pictures of rising brightness and their ratings with a little disagreement; the table."""
    rng = np.random.default_rng(0)
    rows = ["image,mos"]
    for number in range(count):
        bright = 10 + 80 * number / count
        cv2.imwrite(str(folder / f"{number}.png"), np.full((40, 40, 3), bright * 2.55, np.uint8))
        rows.append(f"{number}.png,{np.clip(rating(bright) + rng.normal(0, 2), 0, 100):.3f}")
    table = folder / "scores.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def _harsh(bright: float) -> float:
    return 5 + bright**2 / 140


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_calibrated_scores_are_the_ratings_in_every_engine(
    model: Path, command: Callable[..., Ended], tmp_path: Path, engine: str
) -> None:
    table, out = _rate(tmp_path, _harsh), tmp_path / "mine.onnx"
    status, message = command("--model", model, "--data", f"csv={table}", "--out", out)
    assert status == 0, message
    before, after = open_engine(model, engine), open_engine(out, engine)
    scores = []
    for number in (0, 15, 30, 45, 59):
        frame = to_input(read_picture(tmp_path / f"{number}.png"), after.spec.input)[None]
        (own,), (calibrated,) = before.infer(frame), after.infer(frame)
        scores.append(calibrated.score)
        assert scores[-1] == pytest.approx(_harsh(own.score), abs=2.5)
        quality_map = calibrated.map
        assert quality_map is not None
        assert quality_map.mean() == pytest.approx(scores[-1], abs=0.01)
    assert scores == sorted(scores)
    for value in (0, 255):
        extreme = after.infer(np.full((1, SIDE, SIDE, 3), value, np.uint8))[0].score
        assert 0 <= extreme <= 100


def test_the_contract_says_on_whose_scale_it_scores_now(
    model: Path, command: Callable[..., Ended], tmp_path: Path
) -> None:
    table, out = _rate(tmp_path, _harsh), tmp_path / "mine.onnx"
    assert command("--model", model, "--data", f"csv={table}", "--out", out)[0] == 0
    spec, old = read_contract(load_model(out), out), read_contract(load_model(model), model)
    assert "monotone map fitted to 60 pictures" in spec.score.scale
    assert [(entry.name, entry.split, entry.images) for entry in spec.trained_on] == [("csv", "calibration", 60)]
    assert spec.weights_sha256 != old.weights_sha256
    again = tmp_path / "again.onnx"
    status, message = command("--model", out, "--data", f"csv={table}", "--out", again)
    assert (status, again.exists()) == (2, False)
    assert message.endswith("already calibrated, use the model that it was made from")


@pytest.mark.parametrize(
    ("rating", "count", "status", "message"),
    [
        (_harsh, 49, 2, "49 rated pictures, at least 50 are needed"),
        (lambda bright: 100 - bright, 60, 2, "the ratings do not rise with the model's scores (SRCC -"),
        (lambda _: 100.0 + 50, 60, 2, "the ratings are almost the same for all pictures"),
        (lambda bright: bright, 60, 3, "not written, the RMSE on held-out pictures would be"),
    ],
    ids=["too few", "falling", "constant", "no gain"],
)
def test_ratings_that_cannot_be_followed_are_refused(
    model: Path,
    command: Callable[..., Ended],
    tmp_path: Path,
    rating: Callable[[float], float],
    count: int,
    status: int,
    message: str,
) -> None:
    table, out = _rate(tmp_path, rating, count), tmp_path / "mine.onnx"
    ended, line = command("--model", model, "--data", f"csv={table}", "--out", out)
    assert (ended, out.exists()) == (status, False)
    assert message in line
    assert len(line.splitlines()) == 1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(50, 200), st.floats(1.5, 30), st.floats(0, 40))
def test_a_fitted_map_always_rises(seed: int, count: int, spread: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    score = np.clip(rng.normal(rng.uniform(10, 90), spread, count), 0, 100)
    mos = np.clip(100 * (score / 100) ** rng.uniform(0.3, 3) + rng.normal(0, noise, count), 0, 100)
    mapped = fit_map(score, mos)
    assert (np.diff(mapped.x) > 0).all()
    assert (np.diff(mapped.y) > 0).all()
    assert mapped(np.array([0.0, 100.0])).tolist() == sorted(mapped(np.array([0.0, 100.0])))

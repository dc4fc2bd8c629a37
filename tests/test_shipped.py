"""The shipped models on the shipped clip: what the first command shows a user must be there."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest

from dpiqa import Reading, Scorer
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.video import read_video
from dpiqa.train.model_files import load_model, read_contract, weights_sha256

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
STRETCHES = runpy.run_path(str(ROOT / "docs" / "pictures" / "make_clip.py"))["STRETCHES"]
MODELS = ("dpiqa-lite0", "dpiqa-lite0-int8")
LARGER = ("dpiqa-lite2", "dpiqa-lite2-int8")  # in the repository, not in the wheel
ALL = MODELS + LARGER
# The clip's grain is so coarse that it looks like blocks: README says so.
WITH_SLOW = [*MODELS, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER)]
CAUSES = {"blur": "blur", "noise": "compression", "compression": "compression", "darkness": "exposure_low"}


@pytest.fixture(scope="module", params=WITH_SLOW)
def readings(request: pytest.FixtureRequest) -> list[Reading]:
    return list(Scorer(_file(request.param)).stream(EXAMPLES / "clip.mp4", fps=2))


def _file(name: str) -> Path:
    """Where a model lies: beside the runtime where it is installed with it, else in the repository."""
    return Path(shipped_model(name)) if name in MODELS else ROOT / "models" / f"{name}.onnx"


def _mean(readings: list[Reading], begin: float, end: float) -> float:
    return float(np.mean([reading.score for reading in readings if begin <= (reading.pts_s or 0) < end]))


@pytest.mark.slow
@pytest.mark.parametrize(("begin", "end", "spoil"), STRETCHES, ids=[stretch[2].__name__ for stretch in STRETCHES])
def test_every_spoilt_stretch_dips_below_its_clean_neighbours(
    readings: list[Reading], begin: float, end: float, spoil: object
) -> None:
    spoilt = _mean(readings, begin, end)
    for neighbour in (_mean(readings, begin - 2, begin), _mean(readings, end, end + 2)):
        assert spoilt < neighbour - 10


@pytest.mark.parametrize(("begin", "end", "spoil"), STRETCHES, ids=[stretch[2].__name__ for stretch in STRETCHES])
def test_the_strongest_cause_is_the_stretch_s_own(
    readings: list[Reading], begin: float, end: float, spoil: Callable[..., object]
) -> None:
    shown = [reading for reading in readings if begin <= (reading.pts_s or 0) < end]
    mean = {name: float(np.mean([reading.causes[name] for reading in shown])) for name in shown[0].causes}
    assert max(mean, key=mean.__getitem__) == CAUSES[spoil.__name__]
    clean = [reading for reading in readings if (reading.pts_s or 0) < STRETCHES[0][0]]
    assert max(max(reading.causes.values()) for reading in clean) < 0.15


@pytest.mark.parametrize("name", WITH_SLOW)
def test_the_map_shows_where(name: str) -> None:
    frame = next(read_video(str(EXAMPLES / "clip.mp4"))).pixels
    height, width = frame.shape[:2]
    scorer = Scorer(_file(name))
    before = scorer.explain(frame).map
    assert before is not None
    for fault, place in (
        (cv2.GaussianBlur(frame, (0, 0), 12), np.s_[:, : width // 2]),
        (frame // 16, np.s_[: height // 2]),
    ):
        spoilt = frame.copy()
        spoilt[place] = fault[place]
        after = scorer.explain(spoilt).map
        assert after is not None
        fall = cv2.resize(before - after, (width, height))
        outside = np.ones((height, width), bool)
        outside[place] = False
        assert fall[place].mean() > 10 + abs(fall[outside].mean())


def test_path_array_and_lossless_video_agree(tmp_path: Path) -> None:
    frame = next(read_video(str(EXAMPLES / "clip.mp4"))).pixels[:720, :1000]
    picture, clip = str(tmp_path / "frame.png"), str(tmp_path / "frame.avi")
    cv2.imwrite(picture, frame)
    writer = cv2.VideoWriter(clip, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 10, (1000, 720))
    writer.write(frame)
    writer.release()
    scorer = Scorer()
    scores = [scorer.score(frame).score, scorer.score(picture).score, next(scorer.stream(clip)).score]
    assert scores == pytest.approx([scores[0]] * 3, abs=0.001)
    assert abs(scorer.score(frame[..., ::-1]).score - scores[0]) > 0.1  # and would not with channels swapped


def test_clip_is_twenty_seconds_of_1080p(readings: list[Reading]) -> None:
    assert len(readings) == 40
    assert readings[-1].pts_s == pytest.approx(19.5, abs=0.1)
    assert (EXAMPLES / "clip.mp4").stat().st_size < 8_000_000


@pytest.mark.parametrize("name", ALL)
def test_contract_is_true(name: str) -> None:
    path = _file(name)
    graph = load_model(path)
    spec = read_contract(graph, path)
    assert spec.weights_sha256 == weights_sha256(graph)
    assert spec.precision == ("int8" if name.endswith("int8") else "fp32")
    assert {entry.name for entry in spec.evaluated_on} == {"biq2021", "clive"}
    assert "clive" not in {entry.name for entry in spec.trained_on}


@pytest.mark.slow
def test_int8_scores_are_those_of_exact_arithmetic() -> None:
    """Kernels that saturate (x86 without VNNI) must not be what the engine runs."""
    path = shipped_model("dpiqa-lite0-int8")
    engine = open_engine(path)
    exact = onnxruntime.SessionOptions()
    exact.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, exact)
    for frame in read_video(str(EXAMPLES / "clip.mp4"), fps=0.4):
        row = to_input(frame.pixels, engine.spec.input)[None]
        assert scores_of(engine.infer(row)) == pytest.approx(session.run(["score"], {"frames": row})[0], abs=2.0)


def test_known_failures_are_those_of_the_shipped_model() -> None:
    path = shipped_model()
    weights = read_contract(load_model(path), path).weights_sha256
    assert set(pd.read_csv(ROOT / "models" / "results" / "known_failures.csv")["weights"]) == {weights[:12]}


@pytest.mark.slow
def test_the_published_benchmark_runs() -> None:
    pytest.importorskip("dpiqa.native", reason="needs dpiqa.native and OpenVINO, pip install '.[openvino]'")
    command = [sys.executable, "benchmarks/native.py", "--rounds", "1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in ("nv12", "int8", "opencv+onnxruntime", "1.5 at most"))


def _srcc(name: str) -> dict[str, float]:
    path = _file(name)
    return {entry.name: entry.srcc for entry in read_contract(load_model(path), path).evaluated_on}


@pytest.mark.parametrize("names", [MODELS, LARGER])
def test_int8_ranks_as_fp32_does(names: tuple[str, str]) -> None:
    fp32, int8 = map(_srcc, names)
    assert all(int8[name] >= fp32[name] - 0.003 for name in fp32)


@pytest.mark.parametrize("name", [MODELS[0], LARGER[0]])
def test_beats_what_is_published_and_the_first_baseline(name: str) -> None:
    srcc = _srcc(name)
    assert srcc["biq2021"] > 0.81
    assert srcc["clive"] > 0.754 + 0.02

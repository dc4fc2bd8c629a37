"""The parts of benchmarks/gpu_proof.sh that need no GPU, on models that run here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dpiqa.errors import EngineError
from dpiqa.export.tensorrt.api import Flavour, find_flavour
from dpiqa.native import Model, preprocess
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.gpu import Driver, Gpu
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.video import read_video

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "gpu"))

from cameras import Site, nv12, watch
from collect import rows_of
from engines import build, why_no_core, why_no_gpu
from parts import Part
from real import endure, is_close, measure, parity
from reference import MODEL, pictures_of, reference_of, tensor_of

ROOT = Path(__file__).parents[1]
Reference = tuple[np.ndarray, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of the clip, good and bad."""
    folder = tmp_path_factory.mktemp("photographs")
    frames = islice(read_video(str(ROOT / "examples" / "clip.mp4"), 0.5), 6)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame.pixels)
    return folder


@pytest.fixture(scope="module")
def reference(photographs: Path) -> Reference:
    """Six photographs at the model's size, and what FP32 says of them."""
    spec = open_engine(MODEL, "onnxruntime").spec.input
    pictures, count = pictures_of(photographs, 6, spec)
    assert count == 6
    frames = tensor_of(pictures, spec)
    return frames, reference_of(frames)


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "part.json")


def _table(name: str, part: Part) -> str:
    """The part's rows as the proof's table has them."""
    ended = {"seconds": 1, "ended": "passed", "found": json.loads(json.dumps(part.results))}
    return "\n".join("  ".join(row) for row in rows_of(name, ended))


def _open(**options: Any) -> Any:
    return partial(Model, shipped_model("dpiqa-lite0-int8"), engine="openvino", threads=1, **options)


@pytest.mark.slow
def test_parity_latency_and_cameras_of_int8_on_the_cpu(reference: Reference, part: Part) -> None:
    """OpenVINO in TensorRT's place, against FP32 in ONNX Runtime."""
    frames, expected = reference
    part.set(photographs=len(frames))
    began = time.perf_counter()
    assert measure(part, _open(), "int8", frames, expected, cameras=2, seconds=1, repeats=15)
    took = time.perf_counter() - began
    (agreement,) = part.results["parity"]
    assert agreement["score_srcc"] > 0.7  # six pictures, some of nearly the same score
    assert 0 < agreement["score_mean_points"] < agreement["score_largest_points"] < 5
    whole, small = part.results["latency"]
    for row in (whole, small):
        assert 0 < row["infer_p50_ms"] < row["p50_ms"] <= row["p99_ms"] < 1000 * took
    assert whole["preprocess_p50_ms"] > small["preprocess_p50_ms"] > 0
    paced, unpaced = part.results["cameras"]
    assert 1 <= paced["fewest_frames_of_a_camera"] <= paced["frames"] / 2
    assert 48 <= paced["frames"] + paced["dropped"] <= 52 + _overshot(paced)
    assert unpaced["dropped"] == 0
    assert unpaced["frames_per_s"] == pytest.approx(unpaced["frames"] / unpaced["seconds"])
    assert paced["largest_apart_points"] == unpaced["largest_apart_points"] == 0
    table = _table("real", part)
    assert f"SRCC {agreement['score_srcc']:.5f}" in table
    assert "engine int8, 2 cameras  25 frames/s each" in table


def test_a_model_that_is_not_the_one_expected_is_not_close(reference: Reference) -> None:
    frames, expected = reference
    backwards = {name: values[::-1] for name, values in expected.items()}
    row = parity(_open()(), "int8", frames, backwards)
    assert row["score_largest_points"] > 5
    assert not is_close(row, photographs=len(frames))
    assert not is_close(row, photographs=0)


def _overshot(row: dict[str, Any]) -> float:
    """Frames that came while the last ones were scored, after the time was over."""
    return row["cameras"] * row["fps"] * row["largest_ms"] / 1000


class _Slow:
    """A model that takes a tenth of a second a frame, one frame at a time, as an engine without batches does."""

    def __init__(self, *scores: float) -> None:
        self._scores, self._calls = scores, 0

    def score(self, *_: Any) -> Any:
        time.sleep(0.1)
        self._calls += 1
        return type("Result", (), {"score": self._scores[min(self._calls, len(self._scores)) - 1]})


def test_a_camera_takes_the_newest_frame_and_counts_those_it_missed() -> None:
    model: Any = _Slow(50)
    row = watch(model, [np.zeros((6, 4), np.uint8)], [50], Site(1, 25, 1))
    assert row["frames"] <= 11
    assert 25 <= row["frames"] + row["dropped"] <= 26 + _overshot(row)
    assert row["p50_ms"] > 99
    unhurried = watch(model, [np.zeros((6, 4), np.uint8)], [50], Site(3, 4, 1))
    assert 12 <= unhurried["frames"] + unhurried["dropped"] <= 15 + _overshot(unhurried)
    assert unhurried["dropped"] < row["dropped"]


def test_a_score_that_changes_under_load_is_written_down(part: Part) -> None:
    changes: Any = lambda **_: _Slow(50, 50, 50, 50, 50, 53)  # noqa: E731
    assert not endure(part, changes, "int8", hours=0.5 / 3600, cameras=2)
    assert part.results["hours"][0]["largest_apart_points"] == 3
    assert part.results["hours"][0]["resident_mb"] > 10
    assert "2 cameras  1 s" in _table("real", part)


def test_nv12_is_what_the_core_takes_for_the_same_picture() -> None:
    bgr = cv2.resize(np.array([[[40, 90, 200], [220, 120, 30]]], np.uint8), (64, 32), interpolation=cv2.INTER_CUBIC)
    frame = nv12(bgr)
    assert frame.shape == (48, 64)
    apart = preprocess(frame, 64, 32, "nv12", "bt601-limited").astype(int) - bgr[..., ::-1]
    assert np.abs(apart).mean() < 2


@pytest.fixture
def rtx() -> Flavour:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx_cu13 is not installed (x86-64 Linux only)")
    return find_flavour("tensorrt-rtx")


@pytest.mark.slow
def test_a_build_that_fails_gives_the_commands_own_reason(rtx: Flavour, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"ended with 2: --sm 99: TensorRT-RTX .* compiles for 75, 80, 86"):
        build(rtx, "99", "int8", tmp_path, 60)


def test_why_no_engine_runs_here_is_one_sentence(rtx: Flavour) -> None:
    h200, rtx4090 = Gpu("NVIDIA H200", "9.0", 143771), Gpu("NVIDIA GeForce RTX 4090", "8.9", 24564)
    supported = f"TensorRT-RTX {rtx.version} compiles for 75, 80, 86, 89, 120, 121"
    assert why_no_gpu(rtx, Driver(gpus=(h200,))) == f"the NVIDIA H200 has compute capability 9.0, and {supported}"
    assert why_no_gpu(rtx, Driver(gpus=(rtx4090,))) is None
    assert why_no_gpu(rtx, Driver(why_absent="no NVIDIA driver")) == "no NVIDIA driver"
    reason = why_no_core()
    assert reason is None or "built without TensorRT" in reason


@pytest.mark.slow
def test_vit_is_killed_and_goes_on(tmp_path: Path, photographs: Path, part: Part) -> None:
    command = f"{sys.executable} {ROOT}/benchmarks/gpu/teacher.py --prior vit-s --out {tmp_path}/vit.json --seconds 200"
    subprocess.run([*command.split(), "--pictures", photographs, "--room", tmp_path], check=True)
    part.set(**json.loads((tmp_path / "vit.json").read_text()))
    assert part.results["passed"], part.results
    assert part.results["about"] | {"parameters": 0, "build_s": 0} == {
        "kind": "about", "parameters": 0, "build_s": 0, "side_pixels": 56, "batch": 4, "accumulate": 1,
        "precision": "fp32", "ema": 0.998, "weights": "random", "photographs": 6, "made_up_pictures": 2,
    }  # fmt: skip
    assert part.results["about"]["parameters"] > 21e6
    assert part.results["resume"]["steps_made_twice"] == [2]
    assert part.results["resumed"]["steps"] == 2
    assert part.results["pictures_per_s"] == pytest.approx(4 / part.results["median_s_per_step"])
    assert "22 M parameters, 56 pixels, batch 4, random weights" in _table("vit", part)

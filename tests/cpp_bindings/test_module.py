"""The module `dpiqa`: agreement with OpenCV and ONNX Runtime, zero copies, refusals, threads."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from dpiqa.runtime.preprocess import resize_area
from dpiqa.runtime.spec import parse_spec

pytest.importorskip("dpiqa.native", reason="needs dpiqa.native and OpenVINO, pip install '.[openvino]'")
from dpiqa import native
from dpiqa.errors import ContractError, EngineError, InputError

DATA = Path(__file__).parent / "data"
FP32, INT8 = DATA / "tiny.onnx", DATA / "tiny-int8.onnx"
SIDE = 64


def picture(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 40, (6, 8, 1)) + rng.normal(0, 15, (6, 8, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 5, (height, width, 1)), 16, 235).astype(np.uint8)


def to_nv12(bgr: np.ndarray) -> np.ndarray:
    height, width = bgr.shape[:2]
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    chroma = i420[height:].reshape(2, -1)
    return np.vstack([i420[:height], np.stack([chroma[0], chroma[1]], -1).reshape(height // 2, width)])


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    apart = np.abs(found.astype(int) - expected)
    assert (apart <= 1).mean() >= 0.999, (apart > 1).mean()


@pytest.fixture(scope="module")
def scorer() -> native.Model:
    return native.Model(FP32, threads=1, force_float32=True)


@pytest.mark.parametrize("size", [(120, 160), (1080, 1920), (480, 34), (40, 52), (64, 64), (200, 66)])
@pytest.mark.parametrize("target", [(64, 64), (96, 160), (224, 224)])
def test_preprocess_follows_the_resize_rule(size: tuple[int, int], target: tuple[int, int]) -> None:
    bgr = picture(*size)
    found = native.preprocess(bgr, target[1], target[0])
    assert_close(found, resize_area(bgr, *target)[..., ::-1])


@pytest.mark.parametrize("height", [256, 720])
def test_preprocess_decodes_video_formats_as_opencv_does(height: int) -> None:
    bgr = picture(height, height * 2)
    nv12, i420 = to_nv12(bgr), cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    yuyv, uyvy = (cv2.cvtColor(bgr, code) for code in (cv2.COLOR_BGR2YUV_YUYV, cv2.COLOR_BGR2YUV_UYVY))
    cases: list[tuple[np.ndarray, Any, int]] = [
        (nv12, "nv12", cv2.COLOR_YUV2RGB_NV12),
        (i420, "i420", cv2.COLOR_YUV2RGB_I420),
        (yuyv, "yuyv", cv2.COLOR_YUV2RGB_YUYV),
        (uyvy, "uyvy", cv2.COLOR_YUV2RGB_UYVY),
    ]
    for frame, name, code in cases:
        found = native.preprocess(frame, 128, 128, name, "bt601-limited")
        assert_close(found, resize_area(cv2.cvtColor(frame, code), 128, 128))


def test_rgba_and_ten_bits_are_the_pictures_that_they_widen(scorer: native.Model) -> None:
    bgr = picture()
    rgba = np.dstack([bgr[..., ::-1], np.random.default_rng(1).integers(0, 256, bgr.shape[:2], np.uint8)])
    assert scorer.score(rgba, "rgba").score == scorer.score(bgr).score
    nv12 = to_nv12(bgr)
    p010 = nv12.astype(np.uint16) << 8
    expected = native.preprocess(nv12, 96, 64, "nv12", "bt709-limited")
    np.testing.assert_array_equal(native.preprocess(p010, 96, 64, "p010", "bt709-limited"), expected)
    planes = (p010[:120], p010[120:].reshape(60, 80, 2))
    np.testing.assert_array_equal(native.preprocess(planes, 96, 64, "p010", "bt709-limited"), expected)


def test_scores_agree_with_onnxruntime(scorer: native.Model) -> None:
    for path, model, tolerance in ((FP32, scorer, 0.05), (INT8, native.Model(INT8), 0.5)):
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        for seed in range(8):
            rgb = picture(SIDE, SIDE, seed)
            outputs = session.run(["score", "causes", "map"], {"frames": rgb[None]})
            score, causes, quality_map = map(np.asarray, outputs)
            reading = model.score(rgb, "rgb")
            assert reading.causes is not None
            assert reading.map is not None
            assert abs(reading.score - score[0]) <= tolerance
            np.testing.assert_allclose(reading.causes, causes[0], atol=tolerance / 100)
            np.testing.assert_allclose(reading.map, quality_map[0], atol=4 * tolerance)
            assert reading.preprocess_ms > 0
            assert reading.infer_ms > 0


def test_the_contract_is_the_files_own(scorer: native.Model) -> None:
    spec = parse_spec(scorer.contract, FP32)
    assert (spec.name, spec.causes) == ("tiny", ("blur", "noise"))
    assert scorer.engine == "openvino"
    assert scorer.requests >= 1


def test_strided_views_score_as_their_copies_do(scorer: native.Model) -> None:
    large = picture(200, 300)
    view = large[11:131, 17:177]
    assert not view.flags.c_contiguous
    assert scorer.score(view).score == scorer.score(view.copy()).score
    skipped = large[::2]
    assert scorer.score(skipped).score == scorer.score(skipped.copy()).score
    nv12 = to_nv12(picture())
    planes = (nv12[:120], nv12[120:].reshape(60, 80, 2))
    expected = scorer.score(nv12, "nv12", "bt709-full").score
    assert scorer.score(planes, "nv12", "bt709-full").score == expected
    i420 = cv2.cvtColor(picture(), cv2.COLOR_BGR2YUV_I420)
    planes = (i420[:120], i420[120:150].reshape(60, 80), i420[150:].reshape(60, 80))
    expected = scorer.score(i420, "i420", "bt601-full").score
    assert scorer.score(planes, "i420", "bt601-full").score == expected


@pytest.mark.parametrize(
    ("frame", "format_name", "colour", "message"),
    [
        (picture()[:, ::-1], "bgr", None, "gapless rows"),
        (picture()[..., ::-1], "bgr", None, "gapless rows"),
        (picture()[::-1], "bgr", None, "top to bottom"),
        (picture().astype(np.float32), "bgr", None, "float32"),
        (picture()[..., 0], "bgr", None, r"expected uint8 \[h, w, 3\]"),
        (picture(), "gray", None, r"expected uint8 \[h, w\]"),
        (picture(20, 160), "bgr", None, "160x20 pixels cannot be scored"),
        (np.zeros((0, 0, 3), np.uint8), "bgr", None, "array"),
        (to_nv12(picture()), "nv12", None, "must state its colour"),
        (to_nv12(picture()), "p010", "bt601-full", r"uint16 \[h \* 3 / 2, w\]"),
        (picture(), "rgba", None, r"expected uint8 \[h, w, 4\]"),
        (to_nv12(picture())[:-1], "nv12", "bt601-full", r"h \* 3 / 2"),
        ((np.zeros((64, 64), np.uint8),), "nv12", "bt601-full", "expected 2 plane"),
        ((np.zeros((64, 64), np.uint8), np.zeros((31, 64), np.uint8)), "nv12", "bt601-full", "plane UV"),
        (picture(), "yuv444", None, "unknown format 'yuv444'"),
        (picture(), "bgr", "bt2020", "unknown colour 'bt2020'"),
        ([1, 2, 3], "bgr", None, "NumPy array"),
    ],
)
def test_unusable_frames_are_refused_in_words(
    scorer: native.Model, frame: Any, format_name: Any, colour: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        scorer.score(frame, format_name, colour)


def test_unusable_models_and_options_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such model file"):
        native.Model(tmp_path / "absent.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(FP32.read_bytes()[:500])
    with pytest.raises(EngineError, match="cut off"):
        native.Model(broken)
    with pytest.raises(EngineError, match="unknown engine"):
        native.Model(FP32, engine="magic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown mode"):
        native.Model(FP32, mode="fast")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="max_wait_ms must be 0 to 1000, found 1001"):
        native.Model(FP32, max_wait_ms=1001)
    with pytest.raises(EngineError, match=r"x\.engine: its manifest .*x\.engine\.json is missing"):
        native.check_engine(tmp_path / "x.engine", flavour="tensorrt", library=100300, compute_capability="8.7")


def test_a_batch_is_scored_in_order_and_one_bad_frame_is_named(scorer: native.Model) -> None:
    frames = [picture(seed=seed) for seed in range(6)]
    many = native.Model(FP32, threads=1, requests=3, mode="throughput", force_float32=True)
    expected = [scorer.score(frame).score for frame in frames]
    assert [reading.score for reading in many.score_many(frames)] == pytest.approx(expected, abs=1e-3)
    assert many.score_many([]) == []
    with pytest.raises(InputError, match="cannot be scored"):
        many.score_many([frames[0], frames[1][:8]])


@pytest.mark.slow
def test_other_threads_run_while_a_frame_is_scored(scorer: native.Model) -> None:
    frame = picture(4000, 4000)
    ticks, stop = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    while time.perf_counter() - began < 0.3:
        scorer.score(frame)
    stop.set()
    thread.join()
    assert ticks > 30


def test_threads_share_a_scorer(scorer: native.Model) -> None:
    frames = [picture(seed=seed) for seed in range(16)]
    expected = [scorer.score(frame).score for frame in frames]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [reading.score for reading in pool.map(scorer.score, frames)] == expected


@pytest.mark.slow
def test_only_the_shapes_that_frames_have_are_kept_in_memory() -> None:
    model = Path(__file__).parents[2] / "models" / "dpiqa-lite0-int8.onnx"
    program = f"""
import numpy as np
from dpiqa import native
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
model = native.Model({str(model)!r}, threads=1)
frame = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
model.score(frame)
wide = resident_mb()
model.score(np.ascontiguousarray(frame[:, :360]))
print(resident_mb() - wide)
"""
    added_mb = float(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout)
    assert added_mb > 15  # before the square frame its network took nothing


def test_what_goes_unsaid_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dpiqa"):
        native.Model(FP32)
    assert "opened with engine openvino" in caplog.text


def test_the_contract_refuses_what_python_refuses(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the package onnx to write a model")
    for field, value in (
        ("version", ""),
        ("precision", "int4"),
        ("causes", ["a", "a"]),
        ("unknown", 1),
        ("licence", None),
    ):
        model = onnx.load(FP32)
        document = json.loads(model.metadata_props[0].value) | {field: value}
        onnx.helper.set_model_props(model, {"dpiqa": json.dumps(document)})
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        with pytest.raises(ContractError, match=f"field '{field}'"):
            native.Model(path)

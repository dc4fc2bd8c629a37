"""Programs for cameras: the export writes what the engine scores as ONNX Runtime does, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from dpiqa.errors import EngineError, InputError
from dpiqa.export.executorch import main
from dpiqa.runtime.engines.registry import open_engine

DATA = Path(__file__).resolve().parents[1] / "cpp_bindings/data"
ROOT = os.environ.get("EXECUTORCH_ROOT")


def _engine_is_built() -> bool:
    try:
        return open_engine(DATA / "tiny.pte").name == "executorch"
    except EngineError:
        return False


needs_engine = pytest.mark.skipif(not _engine_is_built(), reason="needs a native core that was built with ExecuTorch")
needs_exporter = pytest.mark.skipif(
    not ROOT and not find_spec("executorch"),
    reason="needs ExecuTorch: docs/firmware.md, EXECUTORCH_ROOT names its folder",
)


def _export(*options: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(Path(ROOT).parent) if ROOT else "", os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-W", "ignore", "-m", "dpiqa", "export", "executorch", *map(str, options)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


@needs_engine
def test_a_program_scores_as_its_model_does() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    ours, theirs = (open_engine(DATA / name, engine).infer(frames) for name, engine in
                    (("tiny.pte", "auto"), ("tiny.onnx", "onnxruntime")))  # fmt: skip
    for actual, expected in zip(ours, theirs, strict=True):
        assert actual.score == pytest.approx(expected.score, abs=0.01)
        assert actual.causes is not None
        assert expected.causes is not None
        assert actual.map is not None
        assert expected.map is not None
        np.testing.assert_allclose(actual.causes, expected.causes, atol=1e-4)
        np.testing.assert_allclose(actual.map, expected.map, atol=0.01)


@pytest.mark.slow
@needs_engine
@needs_exporter
def test_the_export_writes_a_program_with_or_without_the_map(tmp_path: Path) -> None:
    for option, has_map in (("--map", True), ("--no-map", False)):
        ended = _export("--model", DATA / "tiny.onnx", option, "--out", tmp_path / "tiny.pte")
        assert ended.returncode == 0, ended.stderr
        assert "points off ONNX Runtime" in ended.stdout
        (prediction,) = open_engine(tmp_path / "tiny.pte").infer(np.zeros((1, 64, 64, 3), np.uint8))
        assert (prediction.map is not None) == has_map


def test_the_export_refuses_what_it_cannot_prove(tmp_path: Path) -> None:
    tiny, out = DATA / "tiny.onnx", tmp_path / "x.pte"
    with pytest.raises(InputError, match="--images must name pictures to compare it with its FP32 reference on"):
        main(out, int8=True)
    with pytest.raises(InputError, match="--int8 names the shipped model"):
        main(out, int8=True, model=tiny)
    with pytest.raises(InputError, match="--images and --reference are for INT8"):
        main(out, model=tiny, images=str(tmp_path))
    assert not out.exists()

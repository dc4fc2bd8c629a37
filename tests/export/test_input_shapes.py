"""Models of several shapes: exported, quantized and judged in each; where one is taken, it is the first."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from forked import Run

from dpiqa.errors import GateError, InputError
from dpiqa.export.deepstream import main as export_deepstream
from dpiqa.export.gate.comparison import Comparison, gate
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import read_pictures
from dpiqa.export.graphs.model import read_model
from dpiqa.export.graphs.transform import shaped
from dpiqa.export.onnx import main as export_onnx
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.quantization.qdq import convolution_macs
from dpiqa.export.quantization.quantize import quantize
from dpiqa.export.tensorrt.network import prepare_network
from dpiqa.export.triton import main as export_triton
from dpiqa.export.xnnpack.delivery import one_shape_file
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.spec import InputSpec
from dpiqa.runtime.video import read_video
from dpiqa.train.model_files import save_model
from dpiqa.train.students.files import load_packed, load_student

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
SHAPES = "96x64,64x96,64x64"
TINY = InputSpec.model_validate(
    {"height": 96, "width": 64, "other_shapes": [{"height": 64, "width": 96}, {"height": 64, "width": 64}]}
)
SHIPPED = "384x384,224x384,384x224,288x384,384x288"


@pytest.fixture(scope="module")
def several(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student for three shapes."""
    model, file = read_model(exported), tmp_path_factory.mktemp("several") / "several.onnx"
    save_model(*shaped(*model, TINY), file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen pictures of one aspect."""
    folder = tmp_path_factory.mktemp("pictures")
    for frame in read_video(str(CLIP), 2):
        if frame.index is not None and len(list(folder.iterdir())) < 12:
            cv2.imwrite(str(folder / f"{frame.index:03}.png"), cv2.resize(frame.pixels, (320, 180)))
    return folder


@pytest.mark.parametrize("source", [pytest.param("--checkpoint", marks=pytest.mark.slow), "--model"])
def test_one_file_scores_as_the_student_in_every_shape(
    call: Run, checkpoint: Path, exported: Path, tmp_path: Path, source: str
) -> None:
    out = tmp_path / "several.onnx"
    file = checkpoint if source == "--checkpoint" else exported
    done = call(export_onnx, source, file, "--shapes", SHAPES, "--version", "2.1.0", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    spec, (student, _) = read_model(out).spec, load_student(checkpoint)
    assert (spec.spec_version, spec.version, spec.input, spec.evaluated_on) == (2, "2.1.0", TINY, ())
    engines = [open_engine(out, name) for name in ("onnxruntime", "openvino")]
    for shape in TINY.shapes:
        frames = np.random.default_rng(0).integers(0, 256, (2, shape.height, shape.width, 3)).astype(np.uint8)
        with torch.inference_mode():
            expected = student(torch.from_numpy(frames)).numpy()
        for engine in engines:
            assert scores_of(engine.infer(frames)) == pytest.approx(expected, abs=0.05)
    _, record = load_packed(out, None)
    assert record.input == TINY.shapes[0]  # trains on at one size
    macs, one = (convolution_macs(onnx.load(file)) for file in (out, exported))
    assert {node: count / one[node] for node, count in macs.items()} == pytest.approx(
        dict.fromkeys(macs, 384 * 384 / (96 * 64))
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shapes", "96x64"], "field 'other_shapes': .*at least 1"),
        (["--shapes", "96x64,60x64"], "--shapes 96x64,60x64: field 'other_shapes': .*multiples of 32, 60x64 is not"),
        (["--shapes", "96x64,192x128"], "aspects must be distinct"),
        (["--shapes", "96x64,64"], "--shapes 64: expected height x width"),
        (["--shapes", SHAPES, "--size", "96x64"], "exclude each other"),
        ([], "--model: needs --size or --shapes"),
    ],
)
def test_a_list_that_cannot_be_used(call: Run, exported: Path, tmp_path: Path, options: list[str], words: str) -> None:
    done = call(export_onnx, "--model", exported, *options, "--out", tmp_path / "x.onnx")
    assert done.returncode == 2
    assert re.search(words, done.stderr), done.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_pictures_take_turns_in_all_shapes(folder: Path, tmp_path: Path) -> None:
    pictures = read_pictures(str(folder), TINY, 9, seed=0)
    assert pictures.shapes == ("96x64", "64x96", "64x64") * 3
    assert pictures.names == read_pictures(str(folder), TINY.shapes[0], 9, seed=0).names
    assert pictures[3:5].shapes == ("96x64", "64x96")
    grey = np.full((90, 160, 3), 90, np.uint8)
    cv2.circle(grey, (80, 45), 20, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "disc.png"), grey)
    (tall,) = read_pictures(str(tmp_path / "disc.png"), TINY, 1, seed=0).frames
    rows, columns = (np.any(tall > 180, axis=(axis, 2)).sum() for axis in (1, 0))
    assert rows == pytest.approx(columns, abs=3)  # cut, not squashed
    np.save(tmp_path / "frames.npy", np.zeros((4, 96, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"frames\.npy: holds frames of one shape, the model takes 3"):
        read_pictures(str(tmp_path / "frames.npy"), TINY, 4, seed=0)


@pytest.mark.slow
def test_a_quantized_model_is_judged_in_every_shape(several: Path, folder: Path) -> None:
    budget = Budget(srcc_drop=2, drift=100, mean_drift=100, pictures=1)
    quantized, report = quantize(read_model(several), Quantization(str(folder), budget, images=6, allow_few=True))
    assert (quantized.spec.precision, quantized.spec.input) == ("int8", TINY)
    assert report.comparison is not None
    assert {shape: row[0] for shape, row in report.comparison.by_shape().items()} == dict.fromkeys(SHAPES.split(","), 2)
    engine = quantized.engine()
    for shape in TINY.shapes:
        assert np.isfinite(engine.infer(np.full((1, shape.height, shape.width, 3), 90, np.uint8))[0].score)


def test_the_gate_looks_at_each_shape_by_itself() -> None:
    reference = np.linspace(10, 90, 500)
    drift, shapes = np.where(np.arange(500) % 5 == 2, 1.5, 0.1), tuple(f"{32 * (n % 5 + 1)}x32" for n in range(500))
    comparison = Comparison(tuple(map(str, range(500))), reference, reference + drift, 1, 1, "x")
    gate(comparison, Budget())
    with pytest.raises(GateError, match=r"budget broken .*: mean drift at 96x32 1\.5 \(limit 0\.5\);"):
        gate(replace(comparison, shapes=shapes), Budget())


def test_what_runs_one_shape_gets_the_first_and_is_announced(several: Path, call: Run, tmp_path: Path) -> None:
    line = f"{several}: takes 3 shapes, here the first alone, 96x64"
    for command, out in ((export_triton, "triton"), (export_deepstream, "deepstream")):
        done = call(command, "--model", several, "--name", "mine", "--out", tmp_path / out)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == line
    lines = list[str]()
    network = prepare_network(several, "fp32", None, None, tmp_path, lines.append)
    with one_shape_file(several, lines.append) as program:
        files = [network.file, tmp_path / "triton" / "mine" / "1" / "model.onnx", program]
        specs = [open_engine(file, "onnxruntime").spec for file in files]
    assert lines == [line, line]
    assert [spec.input for spec in specs] == [TINY.shapes[0]] * 3
    config = (tmp_path / "triton" / "mine" / "config.pbtxt").read_text()
    assert "dims: [ 96, 64, 3 ]" in config
    (tmp_path / "other").mkdir()
    chosen = prepare_network(several, "fp32", (64, 96), None, tmp_path / "other", lines.append)
    assert (chosen.model.spec.input, len(lines)) == (TINY.shapes[1], 2)


@pytest.mark.slow
def test_the_shipped_model_in_five_shapes(call: Run, tmp_path: Path) -> None:
    """Square pictures score as before, and both engines agree in every shape."""
    out = tmp_path / "shapes.onnx"
    assert call(export_onnx, "--model", shipped_model(), "--shapes", SHIPPED, "--out", out).returncode == 0
    spec = read_model(out).spec
    assert json.loads(spec.to_json())["weights_sha256"] == read_model(shipped_model()).spec.weights_sha256
    before = open_engine(shipped_model(), "openvino", threads=1)
    engines = [open_engine(out, name, threads=1) for name in ("onnxruntime", "openvino")]
    picture = next(iter(read_video(str(CLIP)))).pixels
    square = np.ascontiguousarray(picture[:512, :512])
    assert engines[1].score(square).prediction.score == before.score(square).prediction.score
    for shape in spec.input.shapes:
        cut = np.ascontiguousarray(picture[: 5 * shape.height // 2, : 5 * shape.width // 2])
        frame = to_input(cut, spec.input)[None]
        assert frame.shape[1:3] == (shape.height, shape.width)
        alike = [engine.infer(frame)[0].score for engine in engines]
        assert alike[0] == pytest.approx(alike[1], abs=0.01)
        ours, theirs = (engine.score(cut).prediction for engine in engines)
        assert ours.score == pytest.approx(theirs.score, abs=0.3)  # pixels are a level apart here and there
        assert ours.map is not None
        assert theirs.map is not None
        assert ours.map.shape == theirs.map.shape == (shape.height // 8, shape.width // 8)

"""The gate passes intact models and stops spoilt ones; its report is for people and for programs."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from forked import call_module

from dpiqa.errors import ContractError, GateError, InputError
from dpiqa.export.gate.comparison import Comparison, compare_files, gate
from dpiqa.export.gate.deliver import deliver
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import Pictures, read_pictures
from dpiqa.export.gate.report import Report, write_report
from dpiqa.export.graphs.model import read_model
from dpiqa.export.quantization.qdq import int8_share, quantized_layers, restore
from dpiqa.export.quantization.quantize import insert_qdq
from dpiqa.export.quantization.repair import Candidates, repair
from dpiqa.export.quantization.sensitivity import scores
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.model_files import load_model, read_contract, save_model

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
FP32, INT8 = shipped_model("dpiqa-lite0"), shipped_model("dpiqa-lite0-int8")
FEW = Budget(srcc_drop=0.02, pictures=16, mean_drift=1)


def _comparison(drift: np.ndarray, mos: np.ndarray | None = None) -> Comparison:
    reference = np.linspace(5, 95, len(drift))
    names = tuple(f"<{number}>.png" for number in range(len(drift)))
    return Comparison(names, reference, reference + drift, 50.0, 40.0, "onnxruntime", mos)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return read_pictures(str(CLIP), InputSpec(height=384, width=384), 18, seed=0)


def test_gate_names_each_broken_limit_and_the_worst_pictures() -> None:
    gate(_comparison(np.zeros(500)), Budget())
    one = np.zeros(500)
    one[7] = 5.5
    with pytest.raises(GateError, match=r"largest drift 5\.5 \(limit 5\); worst: <7>\.png \(6\.3 to 11\.8\)"):
        gate(_comparison(one), Budget(srcc_drop=1))
    with pytest.raises(GateError, match=r"mean drift 0\.6 \(limit 0\.5\)"):
        gate(_comparison(np.full(500, 0.6)), Budget())
    alike = np.linspace(50, 51, 500)
    reordered = replace(_comparison(alike), reference=alike, candidate=alike + np.tile((-0.4, 0.4), 250))
    with pytest.raises(GateError, match="SRCC drop"):
        gate(reordered, Budget())
    with pytest.raises(GateError, match="nan"):
        gate(_comparison(np.full(500, np.nan)), Budget(srcc_drop=1))
    with pytest.raises(InputError, match=r"at least 500 pictures .*found 499"):
        gate(_comparison(np.zeros(499)), Budget())


def test_srcc_drop_is_against_mos_where_pictures_are_rated() -> None:
    drift = np.zeros(50)
    drift[::2] = 4
    assert _comparison(drift).srcc_drop == pytest.approx(1 - _comparison(drift).srcc)
    assert _comparison(drift, mos=np.linspace(0, 100, 50)).srcc_drop == pytest.approx(1 - _comparison(drift).srcc)
    better = _comparison(drift, mos=np.linspace(5, 95, 50) + drift)
    assert better.srcc_drop < 0
    gate(better, Budget(pictures=50, mean_drift=5))


def test_bands_hold_every_picture_once() -> None:
    drift = np.linspace(-3, 3, 90)
    bands = _comparison(drift).by_band()
    assert list(bands) == ["bad", "poor", "fair", "good", "excellent"]
    assert sum(count for count, _, _ in bands.values()) == 90
    assert max(largest for _, _, largest in bands.values()) == 3
    assert "fair" not in replace(_comparison(drift), reference=np.full(90, 10.0)).by_band()


def test_report_stands_alone_and_its_json_repeats_the_metrics(tmp_path: Path) -> None:
    comparison = _comparison(np.linspace(-6, 6, 40))
    report = Report("x <b>", comparison, {"conv": 0.6, "conv_1": 0.1}, {"sha256": "abc"},
                    [{"layer": "<c>", "type": "Int8"}], Budget(pictures=40))  # fmt: skip
    write_report(report, tmp_path / "r.html")
    page, document = (tmp_path / "r.html").read_text(), json.loads((tmp_path / "r.json").read_text())
    images = re.findall(r'<img alt="" src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 2
    for image in images:
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(image), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape[0] > 100
    assert "http" not in page
    assert "x &lt;b&gt;" in page
    assert "<td>&lt;c&gt;</td>" in page
    assert "<b>" not in page
    assert page.count("broken</span>") == 2
    assert document["comparison"]["largest_drift"] == comparison.largest_drift == 6
    assert {row["picture"] for row in document["comparison"]["scores"]} == set(comparison.names)
    assert document["sensitivity"]["conv"] == 0.6
    assert document["manifest"] == {"sha256": "abc"}


def test_a_refusal_stands_whatever_the_comparison_says(exported: Path, tmp_path: Path) -> None:
    model, out = read_model(exported), tmp_path / "out.onnx"
    report = Report("x", _comparison(np.zeros(500)), budget=Budget(), facts={"a <fact>": "stated"})
    assert deliver(model, out, report).spec == model.spec
    assert out.read_bytes() == exported.read_bytes()
    assert json.loads(out.with_suffix(".json").read_text())["title"] == "out.onnx: x"
    assert "<td>a &lt;fact&gt;</td><td>stated</td>" in out.with_suffix(".html").read_text()
    out.unlink()
    with pytest.raises(GateError, match=r"out\.onnx: not written, no repair will do"):
        deliver(model, out, replace(report, refusal="no repair will do"))
    assert not out.exists()
    assert "Not written: no repair will do" in out.with_suffix(".html").read_text()
    assert json.loads(out.with_suffix(".json").read_text())["refusal"] == "no repair will do"


def test_verify_command_passes_a_model_that_is_the_same_and_writes_its_report(exported: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.random.default_rng(0).integers(0, 256, (12, 96, 64, 3)).astype(np.uint8))
    arguments = ["--reference", exported, "--candidate", exported, "--images", tmp_path / "f.npy", "--allow-few"]
    done = call_module("export.verify", *arguments, "--skip", "2", "--report", tmp_path / "r.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "on 10 pictures: SRCC 1.0000" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["comparison"]["pictures"] == 10


def test_models_of_other_sizes_are_not_compared(exported: Path) -> None:
    with pytest.raises(ContractError, match="takes another input"):
        compare_files(exported, FP32, Pictures(np.zeros((1, 96, 64, 3), np.uint8), ("x",)))


def _layer(block: str) -> str:
    """The name of the convolution with a block's weights: the numbers in names change with every export."""
    (name,) = (node.name for node in load_model(FP32).graph.node if f"trunk.blocks.{block}.weight" in node.input)
    return name


def _with_scale(model: onnx.ModelProto, layer: str, factor: float, operand: int = 0) -> onnx.ModelProto:
    """The model with the scale of one layer's activations (operand 0) or weights (1) multiplied."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(model)
    (taken,) = (node.input[operand] for node in spoilt.graph.node if node.name == layer)
    (scale,) = (node.input[1] for node in spoilt.graph.node if node.output[0] == taken)
    (stored,) = (tensor for tensor in spoilt.graph.initializer if tensor.name == scale)
    stored.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored) * np.float32(factor), scale))
    return spoilt


def _compared(model: onnx.ModelProto, pictures: Pictures, folder: Path) -> Comparison:
    file = folder / "candidate.onnx"
    save_model(model, read_contract(load_model(INT8), INT8), file)
    return compare_files(FP32, file, pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "operand", "factor", "place"),
    [("0.0.conv_pw", 0, 16, 0), ("1.0.conv_pw", 0, 16, 0), ("4.1.conv_pwl", 1, 8, 3)],
)
def test_sabotaged_layer_is_caught_and_repair_finds_it(
    block: str, operand: int, factor: float, place: int, pictures: Pictures, tmp_path: Path
) -> None:
    """The gate asks what a fault does, not whether it is there.

    Coarser activations (0) break the budget's mean where a layer is sensitive, so a ranking by means has it at place 0;
    weights (1) multiply what it computes and break the largest drift: it is found at a later place of the ranking, too.
    """
    whole, original, layer = load_model(INT8), load_model(FP32), _layer(block)
    gate(_compared(whole, pictures, tmp_path), FEW)
    spoilt = _with_scale(whole, layer, factor, operand)
    with pytest.raises(GateError, match="budget broken on"):
        gate(_compared(spoilt, pictures, tmp_path), FEW)
    ranked = [name for name in quantized_layers(whole) if name != layer]
    ranked.insert(place, layer)
    lines: list[str] = []
    assert repair(Candidates(spoilt, original, ranked), pictures, FEW, 0.5, lines.append) == [layer]
    assert len(lines) == 2


@pytest.mark.slow
def test_what_cannot_be_repaired_within_the_floor_is_refused(pictures: Pictures) -> None:
    whole, original, layer = load_model(INT8), load_model(FP32), _layer("4.1.conv_pwl")
    spoilt = _with_scale(whole, layer, 8, operand=1)
    with pytest.raises(GateError, match="dpiqa train qat"):
        repair(Candidates(spoilt, original, [layer]), pictures, FEW, min_int8=1)


@pytest.mark.slow
def test_when_nothing_is_left_to_repair_the_budget_itself_decides(pictures: Pictures, tmp_path: Path) -> None:
    """Until then a tenth of it is kept in hand."""
    candidates = Candidates(load_model(INT8), load_model(FP32), [])
    largest = _compared(candidates.quantized, pictures, tmp_path).largest_drift
    lines: list[str] = []
    assert repair(candidates, pictures, replace(FEW, drift=1.05 * largest), 0, lines.append) == []
    assert re.fullmatch(r"in FP32: 0; drift \S+ at most, .*", lines[-1])
    with pytest.raises(GateError, match=f"keeps the budget .drift {largest:.2f} at most"):
        repair(candidates, pictures, replace(FEW, drift=0.95 * largest), 0)


def test_a_score_that_is_not_a_number_keeps_no_budget_and_no_pictures_choose_nothing() -> None:
    frames = np.zeros((2, 1, 1, 3), np.uint8)
    taken = onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.UINT8, ["n", 1, 1, 3])
    given = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, [1])

    def constant(score: float) -> onnx.ModelProto:
        value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [score])
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["value"], ["score"])], "g", [taken], [given], [value]
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)

    two = Pictures(frames, ("a", "b"))
    for spoilt, whole in [(np.nan, 50), (np.inf, 50), (-np.inf, 50), (50, np.nan)]:
        with pytest.raises(GateError, match="drift inf at most"):
            repair(Candidates(constant(spoilt), constant(whole), []), two, FEW, 0)
    with pytest.raises(InputError, match="needs pictures"):
        repair(Candidates(constant(50), constant(50), []), two[:0], FEW, 0)


@pytest.mark.slow
def test_random_calibration_pictures_are_caught(pictures: Pictures, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 384, 384, 3)).astype(np.uint8)
    random = insert_qdq(load_model(FP32), noise, "max")
    with pytest.raises(GateError, match="budget broken on"):
        gate(_compared(random, pictures, tmp_path), Budget(srcc_drop=0.02, pictures=16))  # the default mean drift


def test_restoring_gives_back_work_layer_by_layer_and_at_last_the_scores() -> None:
    """But for the biases of its heads, which were corrected for what INT8 did to the layers before them."""
    quantized, original = load_model(INT8), load_model(FP32)
    layers = quantized_layers(quantized)
    shares = [int8_share(restore(quantized, original, layers[:count])) for count in (0, 20, len(layers))]
    assert 1 > shares[0] > shares[1] > shares[2] == 0
    frames = np.random.default_rng(0).integers(0, 256, (2, 384, 384, 3)).astype(np.uint8)
    assert scores(restore(quantized, original, layers), frames) == pytest.approx(scores(original, frames), abs=0.5)

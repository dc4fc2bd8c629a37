"""A network of one's own gets a contract that is true, or one line that says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dpiqa.export.graphs.model import read_model
from dpiqa.export.graphs.transform import first_shape, with_names
from dpiqa.export.onnx import main
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.train.model_files import load_model, read_contract, save_model

Run = Callable[..., subprocess.CompletedProcess[str]]
TOLD = ("--scale", "MOS of ours", "--licence", "MIT")


def _network(largest: float = 100, causes: int = 0) -> onnx.ModelProto:
    """Mean brightness as a score up to `largest`, from nodes without names, and as many causes that never apply."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["score"]),
    ]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])]
    stored = [numpy_helper.from_array(np.array(largest / 255, np.float32), "gain")]
    if causes:
        nodes.append(helper.make_node("ReduceMean", ["floats"], ["column"], axes=[1, 2, 3], keepdims=1))
        nodes.append(helper.make_node("Reshape", ["column", "one"], ["means"]))
        nodes.append(helper.make_node("Mul", ["means", "zeros"], ["causes"]))
        outputs.append(helper.make_tensor_value_info("causes", TensorProto.FLOAT, ["N", causes]))
        stored.append(numpy_helper.from_array(np.array([-1, 1]), "one"))
        stored.append(numpy_helper.from_array(np.zeros((1, causes), np.float32), "zeros"))
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 48, 64, 3])
    graph = helper.make_graph(nodes, "own", [frames], outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_contract_is_added_and_the_scores_stay(call: Run, tmp_path: Path) -> None:
    onnx.save(_network(causes=2), tmp_path / "own.onnx")
    done = call(
        main, "--graph", tmp_path / "own.onnx", *TOLD, "--causes", "blur, noise", "--out", tmp_path / "out.onnx"
    )
    assert (done.returncode, done.stderr) == (0, "")
    engine = open_engine(tmp_path / "out.onnx", "onnxruntime")
    spec = engine.spec
    assert (spec.name, spec.precision, spec.causes) == ("own", "fp32", ("blur", "noise"))
    assert (spec.input.height, spec.input.width, spec.score.scale, spec.licence) == (48, 64, "MOS of ours", "MIT")
    grey = np.full((1, 48, 64, 3), 51, np.uint8)
    assert scores_of(engine.infer(grey)) == pytest.approx([20], abs=1e-3)


@pytest.mark.slow
def test_the_precision_is_read_from_the_graph(call: Run, tmp_path: Path) -> None:
    quantized, _ = first_shape(*read_model(shipped_model("dpiqa-lite0-int8")))
    del quantized.metadata_props[:]
    onnx.save(quantized, tmp_path / "own.onnx")
    done = call(main, "--graph", tmp_path / "own.onnx", *TOLD, "--out", tmp_path / "out.onnx")
    assert done.returncode == 0
    assert read_contract(load_model(tmp_path / "out.onnx"), tmp_path).precision == "int8"


def _as_float(network: onnx.ModelProto) -> None:
    network.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _open_height(network: onnx.ModelProto) -> None:
    network.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "H"


def _one_frame(network: onnx.ModelProto) -> None:
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _too_bright(network: onnx.ModelProto) -> None:
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(1, np.float32), "gain"))


def _other_name(network: onnx.ModelProto) -> None:
    network.graph.input[0].name = network.graph.node[0].input[0] = "pixels"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_as_float, "input 'frames' must be uint8 [N, 48, 64, 3] with any N"),
        (_open_height, "must take 'frames', uint8 [N, H, W, 3] with any N and fixed H and W"),
        (_one_frame, "input 'frames' must be uint8 [N, 48, 64, 3] with any N"),
        (_other_name, "must take 'frames'"),
        (_too_bright, "scores must be from 0 to 100, found 0 to 255"),
    ],
)
def test_a_graph_that_would_break_its_contract_gets_none(
    call: Run, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], message: str
) -> None:
    network = _network()
    spoil(network)
    onnx.save(network, tmp_path / "own.onnx")
    done = call(main, "--graph", tmp_path / "own.onnx", *TOLD, "--out", tmp_path / "out.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'own.onnx'}: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one model"),
        (["--graph", "a.onnx", "--checkpoint", "b.pt"], "name one model"),
        (["--graph", "a.onnx", "--scale", "MOS"], "a.onnx: needs --scale and --licence"),
        (["--checkpoint", "b.pt", "--scale", "MOS"], "are for --graph"),
        (["--model", "c.onnx"], "--model: needs --size"),
        (["--model", "c.onnx", "--size", "big"], "--size big: expected height x width"),
        (["--graph", "absent.onnx", *TOLD], "absent.onnx: no such file"),
    ],
)
def test_contradictions_are_one_line(call: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = call(main, *arguments, "--out", tmp_path / "out.onnx")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nodes_without_names_get_names_of_their_own(tmp_path: Path) -> None:
    network = _network(causes=1)
    network.graph.node[2].name = "Cast_0"
    named = with_names(network)
    names = [node.name for node in named.graph.node]
    assert len(set(names)) == len(names)
    assert "" not in names
    assert names[2] == "Cast_0"
    for place in (0, 1, *range(3, len(names))):
        named.graph.node[place].ClearField("name")
    assert named == network


@pytest.mark.slow
def test_layers_without_names_are_kept_in_fp32_too(run: Run, exported: Path, tmp_path: Path) -> None:
    model = load_model(exported)
    spec = read_contract(model, exported)
    for node in model.graph.node:
        node.name = ""
    save_model(model, spec, tmp_path / "nameless.onnx")
    np.save(tmp_path / "f.npy", np.random.default_rng(0).integers(0, 256, (16, 96, 64, 3)).astype(np.uint8))
    shares = []
    for kept in (0, 40):
        out = tmp_path / f"{kept}.onnx"
        done = run("export.int8", "--model", tmp_path / "nameless.onnx", "--calibration", tmp_path / "f.npy",
                   "--allow-few", "--max-srcc-drop", "2", "--max-drift", "100", "--max-mean-drift", "100",
                   "--keep", str(kept), "--out", out)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        shares.append(float(done.stdout.partition("INT8: ")[2].partition("%")[0]))
    assert shares[0] > 95
    assert shares[1] < 60


def test_without_the_extra_an_export_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError('as if it were not installed', name='onnx')\n")
    path = os.pathsep.join([str(tmp_path), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "export.trt", "--int8"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "pip install '.[export]'" in done.stderr

"""Engines that are INT8 for certain and say what they are; nothing half-written, whatever goes wrong."""

from __future__ import annotations

import ctypes
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from forked import Run, call_module

from dpiqa.errors import ContractError, DpiqaError, EngineError, GateError, InputError
from dpiqa.export import trt
from dpiqa.export.graphs.transform import for_tensorrt, resized
from dpiqa.export.quantization.qdq import quantized_layers, restore
from dpiqa.export.tensorrt import network
from dpiqa.export.tensorrt.api import Flavour, find_flavour
from dpiqa.export.tensorrt.engine_builder import BuildOptions, is_typed, set_reach, shares_profiles
from dpiqa.native import check_engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.gpu import Gpu
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.prediction import scores_of
from dpiqa.runtime.spec import parse_spec
from dpiqa.train.model_files import load_model, read_contract, save_model


@pytest.fixture(scope="module")
def rtx() -> Flavour:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx_cu13 is not installed (x86-64 Linux only)")
    return find_flavour("tensorrt-rtx")


def _quantized_convolutions(model: Path) -> tuple[int, int]:
    """How many convolutions of a Q/DQ file are quantized, and how many it has."""
    graph = load_model(model)
    names = {node.name for node in graph.graph.node if node.op_type == "Conv"}
    return len(names.intersection(quantized_layers(graph))), len(names)


@pytest.fixture(scope="module")
def built(rtx: Flavour, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model as the main command exports it."""
    out, before = tmp_path_factory.mktemp("built"), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("export.trt", "--int8", "--flavour", "tensorrt-rtx", "--out", out)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # a busy machine takes longer, not more of its processors
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 180
    int8, total = _quantized_convolutions(shipped_model("dpiqa-lite0-int8"))
    assert 40 < int8 < total
    assert f"{int8} of {total} convolutions INT8" in done.stdout
    return out / "dpiqa-lite0-int8.engine"


@pytest.mark.slow
def test_main_command_writes_engine_manifest_and_report(built: Path) -> None:
    names = {"engine", "engine.json", "onnx", "trt.html", "trt.json"}
    assert {path.name.removeprefix("dpiqa-lite0-int8.") for path in built.parent.iterdir()} == names
    report = json.loads(built.with_suffix(".trt.json").read_bytes())
    convolutions = [layer for layer in report["layers"] if layer["kind"] == "correlation"]
    int8, _ = _quantized_convolutions(shipped_model("dpiqa-lite0-int8"))
    assert sum(layer["precision"] == "Int8" for layer in convolutions) == int8
    assert report["manifest"]["convolution_shares"]["Int8"] > 0.95
    assert report["facts"]["built for"] == "compute capability 8.6, 8.9, 12.0"
    assert f"({int8} of " in report["facts"]["convolutions' work"]
    assert report["facts"]["compared with FP32"] == "before the model was shipped"


@pytest.mark.slow
def test_the_shipped_int8_model_at_another_size_says_that_it_was_not_verified(rtx: Flavour, tmp_path: Path) -> None:
    trt.main(int8=True, out=tmp_path, flavour="tensorrt-rtx", size="288x512", sm="86", opt_batch=4, max_batch=16)
    report = json.loads((tmp_path / "dpiqa-lite0-int8-288x512.trt.json").read_bytes())
    assert report["facts"]["frames"] == "288x512, 1 to 16 at once, fastest at 4"
    assert report["facts"]["compared with FP32"].startswith("not at this size")
    assert report["manifest"]["convolution_shares"]["Int8"] > 0.95
    assert "comparison" not in report


@pytest.mark.slow
def test_manifest_is_what_the_native_core_reads(built: Path) -> None:
    """Field by field as `parse_manifest` in the native core does."""
    document: dict[str, Any] = json.loads(built.with_name(built.name + ".json").read_bytes())
    assert document["manifest_version"] == 1
    assert re.fullmatch("[0-9a-f]{64}", document["onnx_sha256"])
    assert document["flavour"] == "tensorrt-rtx"
    assert re.match(r"\d+\.\d+\.", document["tensorrt_version"])
    assert document["precision"] == "int8"
    assert document["compute_capabilities"] == ["8.6", "8.9", "12.0"]
    assert document["rebuild"].startswith("dpiqa export trt --int8")
    assert parse_spec(json.dumps(document["contract"]), built).name == "dpiqa-lite0"


@pytest.mark.slow
def test_the_core_accepts_the_manifest_for_the_library_that_built_it(rtx: Flavour, built: Path) -> None:
    """By the number that the real library gives itself; an engine of another version, flavour or GPU is refused."""
    folder = Path(import_module("tensorrt_rtx_libs").__file__ or "").parent
    library = ctypes.CDLL(str(next(folder.glob("libtensorrt_rtx.so*")))).getInferLibVersion()
    check_engine(built, flavour="tensorrt-rtx", library=library, compute_capability="8.9")
    expected = re.escape(f"{built}: built for tensorrt-rtx {rtx.version}, found ")
    with pytest.raises(EngineError, match=expected + r"tensorrt-rtx \d+\.8\.\d+; rebuild it with: dpiqa "):
        check_engine(built, flavour="tensorrt-rtx", library=library + 100, compute_capability="8.9")
    with pytest.raises(EngineError, match=expected + r"tensorrt 10\.9\.0; rebuild"):
        check_engine(built, flavour="tensorrt", library=100900, compute_capability="8.9")
    with pytest.raises(EngineError, match=r"compute capability 8\.6, 8\.9, 12\.0, found a GPU with 9\.0; rebuild"):
        check_engine(built, flavour="tensorrt-rtx", library=library, compute_capability="9.0")


@pytest.mark.slow
def test_the_same_request_reuses_and_another_rebuilds(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(built.parent)
    before = built.stat().st_mtime_ns
    trt.main(int8=True, out=built.parent, flavour="tensorrt-rtx")
    assert "reused" in capsys.readouterr().out
    assert built.stat().st_mtime_ns == before
    trt.main(int8=True, out=built.parent, flavour="tensorrt-rtx", sm="86", max_batch=16, opt_batch=4)
    changed = json.loads(built.with_name(built.name + ".json").read_bytes())
    assert changed["compute_capabilities"] == ["8.6"]
    assert changed["profile"] == {"min": 1, "opt": 4, "max": 16}
    built.write_bytes(built.read_bytes()[:-1])  # a damaged engine is no engine
    capsys.readouterr()
    trt.main(int8=True, out=built.parent, flavour="tensorrt-rtx", sm="86", max_batch=16, opt_batch=4)
    assert "reused" not in capsys.readouterr().out


@pytest.mark.slow
def test_an_engine_that_is_int8_in_part_only_is_refused(rtx: Flavour, tmp_path: Path) -> None:
    path = shipped_model("dpiqa-lite0-int8")
    graph, original = load_model(path), load_model(shipped_model())
    fewer = restore(graph, original, set(quantized_layers(graph)[:8]))
    save_model(fewer, read_contract(graph, path), tmp_path / "partial-int8.onnx")
    request: dict[str, Any] = {"int8": True, "model": tmp_path / "partial-int8.onnx", "sm": "86"}
    with pytest.raises(GateError, match=r"not written, the convolutions run .* where at least 95% INT8 is required"):
        trt.main(**request, flavour="tensorrt-rtx", out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["partial-int8.onnx"]
    trt.main(**request, flavour="tensorrt-rtx", out=tmp_path / "out", allow_partial_int8=True)
    assert (tmp_path / "out" / "partial-int8.engine").is_file()
    report = json.loads((tmp_path / "out" / "partial-int8.trt.json").read_bytes())
    assert report["facts"]["compared with FP32"] == "not here (dpiqa export verify does)"


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "kind"), [("fp16", "Half"), ("fp32", "Float")])
def test_own_model_at_another_size(rtx: Flavour, exported: Path, tmp_path: Path, precision: str, kind: str) -> None:
    flags: dict[str, Any] = {precision: True}
    trt.main(**flags, model=exported, out=tmp_path, flavour="tensorrt-rtx", size="64x128", sm="89")
    engine = tmp_path / f"tiny-{precision}-64x128.engine"
    report = json.loads(engine.with_name(engine.name + ".json").read_bytes())
    assert report["contract"]["input"] == {"height": 64, "width": 128, "resize": "area"}
    assert report["contract"]["precision"] == precision
    assert report["convolution_shares"] == {kind: pytest.approx(1)}
    comparison = json.loads(engine.with_suffix(".trt.json").read_bytes()).get("comparison")
    assert (comparison is not None) == (precision == "fp16")
    written = open_engine(engine.with_suffix(".onnx"), "onnxruntime")
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 128, 3)).astype(np.uint8)
    graph, spec = resized(load_model(exported), read_contract(load_model(exported), exported), 64, 128)
    save_model(graph, spec, tmp_path / "expected.onnx")
    expected = scores_of(open_engine(tmp_path / "expected.onnx", "onnxruntime").infer(frames))
    assert scores_of(written.infer(frames)) == pytest.approx(expected, abs=0.5)


@pytest.mark.slow
def test_a_network_without_names_is_listed_layer_by_layer(rtx: Flavour, exported: Path, tmp_path: Path) -> None:
    graph = load_model(exported)
    spec = read_contract(graph, exported)
    for node in graph.graph.node:
        node.name = ""
    save_model(graph, spec, tmp_path / "nameless.onnx")
    trt.main(fp16=True, model=tmp_path / "nameless.onnx", out=tmp_path / "out", flavour="tensorrt-rtx", sm="86")
    report = json.loads((tmp_path / "out" / "nameless-fp16.engine.json").read_bytes())
    assert report["convolution_shares"] == {"Half": pytest.approx(1)}


def test_half_precision_that_moves_scores_is_refused_with_a_report(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(model: onnx.ModelProto) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for tensor in copy.graph.initializer:
            if tensor.name.endswith("bias"):
                tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + 1, tensor.name))
        return copy

    monkeypatch.setattr(network, "half", spoilt)
    with pytest.raises(GateError, match=r"tiny-fp16\.onnx: not written, budget broken on 6 pictures: .*test pattern"):
        trt.main(fp16=True, model=exported, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny-fp16.html", "tiny-fp16.json"}


def test_layout_for_tensorrt_changes_no_score(exported: Path, tmp_path: Path) -> None:
    graph = load_model(exported)
    moved = for_tensorrt(graph)
    assert [node.op_type for node in moved.graph.node[:2]] == ["Cast", "Transpose"]
    save_model(moved, read_contract(graph, exported), tmp_path / "moved.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3)).astype(np.uint8)
    expected = scores_of(open_engine(exported, "onnxruntime").infer(frames))
    assert np.array_equal(scores_of(open_engine(tmp_path / "moved.onnx", "onnxruntime").infer(frames)), expected)


def _as_float(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    del graph.graph.value_info[:]


def _open_sizes(graph: onnx.ModelProto) -> None:
    for place in (1, 2):
        graph.graph.input[0].type.tensor_type.shape.dim[place].dim_param = f"size{place}"
    del graph.graph.value_info[:]


def _without_contract(graph: onnx.ModelProto) -> None:
    del graph.metadata_props[:]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_as_float, ContractError, "input 'frames' must be uint8 "),
        (_open_sizes, ContractError, "input 'frames' must be uint8 "),
        (_without_contract, ContractError, "carries no contract .*, python -m export.onnx adds one"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    exported: Path, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], error: type[DpiqaError], message: str
) -> None:
    graph = load_model(exported)
    spoil(graph)
    onnx.save(graph, tmp_path / "spoilt.onnx")
    with pytest.raises(error, match=message):
        trt.main(fp32=True, model=tmp_path / "spoilt.onnx", out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name one precision"),
        ({"int8": True, "fp16": True}, "name one precision"),
        ({"int8": True, "model": "tiny"}, "is fp32, --int8 needs --calibration"),
        ({"fp32": True, "model": "tiny", "calibration": "x"}, "is for --int8 and --fp16 only"),
        ({"fp32": True, "size": "64"}, "expected height x width"),
        ({"fp32": True, "size": "8x8192"}, "--size 8x8192: height"),
        (
            {"fp32": True, "size": "216x384", "model": "shipped"},
            r"does not take every size \(multiples of 32 are more likely to work\)",
        ),
        ({"fp32": True, "sm": "99"}, "--sm 99: TensorRT-RTX .* compiles for 75, 80, 86, 89"),
        ({"fp32": True, "min_batch": 2}, "batches must be"),
        ({"fp32": True, "dla": 0}, "TensorRT-RTX has none"),
        ({"int8": True, "dla": 1}, "--dla 1: DLA cores run no Q/DQ model, --fp16 builds one"),
        ({"fp32": True, "version_compatible": True}, "TensorRT-RTX has no lean runtime"),
        ({"fp32": True, "model": "corrupt"}, "not a usable ONNX file"),
        ({"fp32": True, "model": "absent"}, "no such file"),
        ({"fp32": True, "out": "corrupt"}, "corrupt"),
        ({"fp32": True, "out": "/proc/nowhere"}, "/proc/nowhere"),
    ],
)
def test_bad_input_is_one_line(
    rtx: Flavour, exported: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "corrupt").write_bytes(b"no ONNX")
    files = {"tiny": exported, "corrupt": tmp_path / "corrupt", "absent": tmp_path / "absent",
             "shipped": shipped_model()}  # fmt: skip
    options = {"flavour": "tensorrt-rtx", "out": tmp_path / "out", "model": exported} | options
    for name in ("model", "out"):
        options[name] = files.get(options[name], Path(options[name]))
    if options.get("int8") and not options.get("fp16"):
        options["model"] = exported
    with pytest.raises(InputError, match=message) as refused:
        trt.main(**options)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("out/*"))


def test_what_full_tensorrt_is_asked_for(rtx: Flavour) -> None:
    """Its API is TensorRT-RTX's, on whose own objects the flags are set."""
    full = Flavour("tensorrt", rtx.api, "10.3.0", Gpu("Orin", "8.7", 8192))
    with pytest.raises(InputError, match="--dla 0: a DLA core takes one batch size, found 1 to 4; --max-batch 1"):
        BuildOptions((), dla=0).on(full, None)
    options = BuildOptions((), (1, 1, 1), dla=0, version_compatible=True).on(full, None)
    assert options.capabilities == ("8.7",)
    config = rtx.api.Builder(rtx.api.Logger()).create_builder_config()
    set_reach(rtx.api, config, options)
    flags = rtx.api.BuilderFlag
    assert config.get_flag(flags.VERSION_COMPATIBLE)
    assert config.get_flag(flags.EXCLUDE_LEAN_RUNTIME)
    assert not shares_profiles(rtx.api)


def test_profiles_are_shared_where_the_builder_offers_it() -> None:
    """TensorRT 8.6's part of the API: no other package here has it."""
    demanded: list[tuple[str, bool]] = []
    api = SimpleNamespace(
        PreviewFeature=SimpleNamespace(PROFILE_SHARING_0806="sharing"),
        BuilderFlag=SimpleNamespace(FP16="fp16"),
        NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0),
    )
    set_reach(api, SimpleNamespace(set_preview_feature=lambda *feature: demanded.append(feature)), BuildOptions(()))
    assert demanded == [("sharing", True)]
    assert shares_profiles(api)
    assert not is_typed(api, BuildOptions(()))


def test_too_few_pictures_are_refused(exported: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "ten.npy", np.zeros((10, 96, 64, 3), np.uint8))
    with pytest.raises(InputError, match="10 pictures"):
        trt.main(int8=True, model=exported, calibration=str(tmp_path / "ten.npy"), out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_own_model_is_quantized_verified_and_built(rtx: Flavour, exported: Path, run: Run, tmp_path: Path) -> None:
    """In a process of its own: modelopt leaves traces in ONNX Runtime."""
    frames = np.random.default_rng(0).integers(0, 256, (24, 96, 64, 3)).astype(np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    request = ["--int8", "--flavour", "tensorrt-rtx", "--model", exported, "--calibration", tmp_path / "frames.npy"]
    tight = run("export.trt", *request, "--allow-few", "--max-drift", "0", "--out", tmp_path / "tight")
    assert tight.returncode == 3
    assert not list((tmp_path / "tight").glob("*.onnx")) + list((tmp_path / "tight").glob("*.engine*"))
    loose = ["--max-srcc-drop", "2", "--max-drift", "100", "--max-mean-drift", "100", "--out", tmp_path / "loose"]
    done = run("export.trt", *request, "--allow-few", *loose)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "loose" / "tiny-int8.engine.json").read_bytes())
    verified = json.loads((tmp_path / "loose" / "tiny-int8.json").read_bytes())
    assert manifest["calibration_sha256"] == verified["manifest"]["calibration"]["sha256"]
    assert manifest["convolution_shares"] == {"Int8": pytest.approx(1)}
    report = json.loads((tmp_path / "loose" / "tiny-int8.trt.json").read_bytes())
    assert report["comparison"] == verified["comparison"]
    assert report["manifest"]["quantization"] == verified["manifest"]
    again = run("export.trt", *request, "--allow-few", *loose)
    assert "built already from the same request, reused" in again.stdout


@pytest.mark.slow
def test_what_the_builder_cannot_do_is_reported_in_its_words(
    rtx: Flavour, exported: Path, run: Run, tmp_path: Path
) -> None:
    """In a process of its own: after a build that failed, TensorRT-RTX's report has INT8 layers as Float."""
    options = ("--fp32", "--flavour", "tensorrt-rtx", "--sm", "75", "--model", exported, "--out", tmp_path)
    done = run("export.trt", *options)
    assert done.returncode
    assert re.search(r"could not build the engine: .*SM75", done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.engine*"))


def test_without_tensorrt_the_onnx_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    done = call_module("export.trt", "--int8", "--out", tmp_path)
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1
    assert "pip install '.[export]'" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["dpiqa-lite0-int8.onnx"]


def _heed_interrupts() -> None:
    """Also where a shell's background job ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_interrupted_build_leaves_no_half_file(rtx: Flavour, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "export.trt",
        "--int8",
        "--flavour",
        "tensorrt-rtx",
        "--sm",
        "86",
        "--out",
        str(tmp_path),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, preexec_fn=_heed_interrupts) as process:
        assert process.stdout is not None
        assert any("building" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "")
    assert [file.name for file in tmp_path.iterdir()] == ["dpiqa-lite0-int8.onnx"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.slow
def test_full_disk_leaves_no_half_file(rtx: Flavour, run: Run, small_disk: Path) -> None:
    """In a process of its own, as above."""
    done = run("export.trt", "--int8", "--flavour", "tensorrt-rtx", "--sm", "86", "--out", small_disk)
    assert done.returncode == 2
    engine = small_disk / "dpiqa-lite0-int8.engine"
    assert done.stderr == f"{engine}: no space left on device\n"
    assert [file.name for file in small_disk.iterdir()] == ["dpiqa-lite0-int8.onnx"]

"""The Triton repository: read with Triton's own schema, and served to the shipped client by ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import onnxruntime
import pytest
from forked import Run, call_module
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as _config
from tritonclient.grpc import service_pb2 as _service
from tritonclient.grpc import service_pb2_grpc

from dpiqa import Scorer
from dpiqa.export.serving.deploy import Tensor
from dpiqa.export.serving.triton import model_config
from dpiqa.export.tensorrt.api import FlavourName
from dpiqa.export.tensorrt.manifest import BatchProfile, Manifest, manifest_path, sha256
from dpiqa.export.triton import main
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.spec import parse_spec

config_pb2: Any = _config  # messages that protobuf makes at run time, unseen by type checkers
answers: Any = _service


def _read(config: str) -> Any:
    return text_format.Parse(config, config_pb2.ModelConfig())


@pytest.fixture(scope="module")
def repository(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("triton") / "repository"
    done = call_module("export.triton", "--model", exported, "--out", out, "--max-batch", "4", "--kind", "cpu")
    assert done.returncode == 0, done.stderr
    return out


class _Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """What Triton does with a repository: obeys the configuration, refuses what does not fit it."""

    def __init__(self, folder: Path) -> None:
        self.config = _read((folder / "config.pbtxt").read_text())
        self.session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])

    def ModelConfig(self, request: Any, context: Any) -> Any:
        if request.name != self.config.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model '{request.name}'")
        return answers.ModelConfigResponse(config=self.config)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        tensor, wanted = request.inputs[0], self.config.input[0]
        count, *dims = tensor.shape
        assert (tensor.name, f"TYPE_{tensor.datatype}") == (
            wanted.name,
            config_pb2.DataType.Name(wanted.data_type),
        )
        assert dims == list(wanted.dims)
        assert count <= self.config.max_batch_size
        frames = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(tensor.shape)
        response = answers.ModelInferResponse(model_name=request.model_name)
        for output in self.config.output:
            (values,) = self.session.run([output.name], {tensor.name: frames})
            result = np.asarray(values)
            inner = output.reshape.shape if output.HasField("reshape") else output.dims
            assert result.shape == (count, *inner)
            response.outputs.add(name=output.name, datatype="FP32", shape=[count, *output.dims])
            response.raw_output_contents.append(result.astype(np.float32).tobytes())
        return response


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's folder in a repository: a trained one, whose scores tell colours and sizes apart."""
    out = tmp_path_factory.mktemp("served")
    call_module("export.triton", "--out", out).check_returncode()
    return out / "dpiqa-lite0"


@pytest.fixture
def server(served: Path) -> Iterator[str]:
    """The address of a server of the shipped model."""
    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Triton(served), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def _client(served: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, served / "client.py", *map(str, arguments)]
    path = str(Path(__file__).parents[2])
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": path, "PATH": ""})


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two frames of the example clip, of 1080p."""
    video = cv2.VideoCapture(str(Path(__file__).parents[2] / "examples" / "clip.mp4"))
    paths = [tmp_path / "first.png", tmp_path / "later.png"]
    for path, position in zip(paths, (0, 120), strict=True):
        video.set(cv2.CAP_PROP_POS_FRAMES, position)
        read, frame = video.read()
        assert read
        assert cv2.imwrite(str(path), frame)
    return paths


def test_the_repository_holds_the_model_and_its_contract(repository: Path, exported: Path) -> None:
    assert sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()) == [
        "tiny/1/model.onnx",
        "tiny/client.py",
        "tiny/config.pbtxt",
    ]
    assert (repository / "tiny/1/model.onnx").read_bytes() == exported.read_bytes()
    config = _read((repository / "tiny/config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 4)
    assert list(config.input[0].dims) == [96, 64, 3]
    assert config.HasField("dynamic_batching")
    assert config.instance_group[0].kind == config_pb2.ModelInstanceGroup.KIND_CPU
    assert list(config.model_warmup[0].inputs["frames"].dims) == [96, 64, 3]
    assert parse_spec(config.parameters["dpiqa"].string_value, "config") == Scorer(exported).spec


def test_the_client_gets_the_scores_of_the_runtime(served: Path, server: str, pictures: list[Path]) -> None:
    done = _client(served, "--server", server, "--model", "dpiqa-lite0", *pictures)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == [str(path) for path in pictures]
    scorer = Scorer(served / "1" / "model.onnx", engine="onnxruntime")
    expected = [scorer.score(path).score for path in pictures]
    assert [float(score) for _, score in lines] == pytest.approx(expected, abs=0.01)


def test_the_client_says_in_one_line_what_the_server_refused(served: Path, server: str, pictures: list[Path]) -> None:
    done = _client(served, "--server", server, "--model", "other", *pictures)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{server}/other: unknown model 'other'\n"


def test_int8_on_a_cpu_comes_with_a_warning(call: Run, tmp_path: Path) -> None:
    done = call(main, "--model", shipped_model("dpiqa-lite0-int8"), "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "on CPUs without VNNI" in done.stdout
    assert (tmp_path / "dpiqa-lite0/1/model.onnx").is_file()


def test_every_output_keeps_its_shape_and_any_contract_its_text(exported: Path) -> None:
    spec = Scorer(exported).spec.model_copy(
        update={"licence": 'quotes "\\" and\nlines, Größe 😀', "causes": ("blur", "noise")}
    )
    outputs = (Tensor("score", ()), Tensor("causes", (2,)), Tensor("map", (12, 8)))
    config = _read(model_config("x", spec, outputs, "tensorrt", kind="gpu", instances=2))
    shapes = {output.name: (list(output.dims), output.HasField("reshape")) for output in config.output}
    assert shapes == {"score": ([1], True), "causes": ([2], False), "map": ([12, 8], False)}
    assert parse_spec(config.parameters["dpiqa"].string_value, "config") == spec
    assert config.instance_group[0].count == 2


def _engine(exported: Path, folder: Path, flavour: FlavourName = "tensorrt") -> Path:
    engine = folder / "tiny.engine"
    engine.write_bytes(b"an engine")
    manifest = Manifest(
        onnx_sha256=sha256(exported),
        flavour=flavour,
        tensorrt_version="10.9.0",
        precision="fp32",
        compute_capabilities=("8.6",),
        profile=BatchProfile(min=1, opt=2, max=6),
        engine_sha256=sha256(engine),
        rebuild="python -m export.trt",
        contract=Scorer(exported).spec,
    )
    manifest_path(engine).write_text(manifest.model_dump_json())
    return engine


def test_an_engine_becomes_a_plan_on_the_gpu(exported: Path, call: Run, tmp_path: Path) -> None:
    done = call(main, "--model", _engine(exported, tmp_path), "--out", tmp_path / "r", "--name", "plan")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r/plan/1/model.plan").read_bytes() == b"an engine"
    config = _read((tmp_path / "r/plan/config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("plan", "tensorrt", 6)
    assert config.instance_group[0].kind == config_pb2.ModelInstanceGroup.KIND_GPU


def _rtx(exported: Path, folder: Path) -> list[object]:
    return ["--model", _engine(exported, folder, flavour="tensorrt-rtx")]


def _without_manifest(exported: Path, folder: Path) -> list[object]:
    engine = _engine(exported, folder)
    engine.with_name("tiny.engine.json").unlink()
    return ["--model", engine]


def _another_engine(exported: Path, folder: Path) -> list[object]:
    engine = _engine(exported, folder)
    engine.write_bytes(b"another engine")
    return ["--model", engine]


def _text_as_onnx(exported: Path, folder: Path) -> list[object]:
    (folder / "text.onnx").write_text("words")
    return ["--model", folder / "text.onnx"]


def _there_already(exported: Path, folder: Path) -> list[object]:
    (folder / "r" / "tiny").mkdir(parents=True)
    return ["--model", exported]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_rtx, "Triton loads only engines of full TensorRT"),
        (_without_manifest, "tiny.engine.json: not the manifest of tiny.engine"),
        (_another_engine, "tiny.engine.json: not the manifest of tiny.engine"),
        (lambda exported, folder: ["--model", folder / "no.engine"], "no.engine: no such file"),
        (
            lambda exported, folder: ["--model", _engine(exported, folder), "--max-batch", "7"],
            "takes at most 6 frames, build it for more",
        ),
        (_text_as_onnx, "text.onnx: not a usable ONNX file"),
        (_there_already, "is there already, remove it or choose another name"),
        (lambda exported, folder: ["--model", exported, "--name", "a/b"], "'a/b' cannot name a served model"),
        (lambda exported, folder: ["--model", _engine(exported, folder), "--kind", "cpu"], "an engine needs a GPU"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    prepare: Callable[[Path, Path], list[Any]], words: str, exported: Path, call: Run, tmp_path: Path
) -> None:
    done = call(main, *prepare(exported, tmp_path), "--out", tmp_path / "r")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [path for path in (tmp_path / "r").rglob("*") if path.is_file() or path.name.endswith(".part")]


def test_a_full_disk_leaves_nothing(exported: Path, call: Run, tmp_path: Path) -> None:
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        done = call(main, "--model", exported, "--out", tmp_path / "r")
        assert done.returncode == 2
        assert "no space left on device" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not list((tmp_path / "r").iterdir())
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)

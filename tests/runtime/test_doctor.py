"""`dpiqa doctor`: what it says of this machine, of machines without parts, and of GPUs behind a driver that we make."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made import Ended, MakeModel, make_spec

from dpiqa.runtime import doctor, gpu, machine, models
from dpiqa.runtime.doctor import describe, examine
from dpiqa.runtime.engines import native
from dpiqa.runtime.spec import EvaluatedOn

Command = Callable[..., Ended]

# A driver's library that answers as told.
DRIVER = r"""
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuGetErrorName(int status, const char **name) { *name = "CUDA_ERROR_MADE_UP"; return 0; }
int cuDriverGetVersion(int *version) { *version = 13020; return 0; }
int cuDeviceGetCount(int *count) { *count = GPUS; return 0; }
int cuDeviceGet(int *device, int index) { *device = 7 + index; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, device == 7 ? "First" : "Second", size);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : device - 1; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)48 << 30; return 0; }
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., gpu.Driver]:
    """What is found when a driver with these answers is installed."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler to make a driver's library")

    def find(status: int = 0, gpus: int = 2) -> gpu.Driver:
        source = tmp_path / "driver.c"
        source.write_text(DRIVER)
        library = tmp_path / f"libcuda-{status}-{gpus}.so"
        options = [f"-DSTATUS={status}", f"-DGPUS={gpus}", "-shared", "-fPIC", "-w"]
        subprocess.run([compiler, *options, "-o", library, source], check=True)
        monkeypatch.setattr(gpu, "_LIBRARY", str(library))
        return gpu.find_driver()

    return find


@pytest.fixture
def one_model(save_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that ships one small model."""
    figures = EvaluatedOn(name="clive", split="all", images=9, srcc=0.75, plcc=0.7, rmse=10)
    path = tmp_path / "models" / "dpiqa-lite0.onnx"
    path.parent.mkdir()
    shutil.copyfile(save_model(make_spec().model_copy(update={"evaluated_on": (figures,)})), path)
    monkeypatch.setattr(models, "_FOLDER", path.parent)
    return path


@pytest.mark.usefixtures("one_model")
def test_it_tells_what_works_and_what_to_do_next(dpiqa: Command) -> None:
    ended = dpiqa("doctor")
    assert ended.status == 0
    assert "dpiqa-lite0, fp32, 0.0 MB: clive all SRCC 0.750" in ended.out
    assert [line.split()[0] for line in ended.out.partition("\nengines\n")[2].splitlines()[:3]] == [
        "onnxruntime",
        "openvino",
        "tensorrt",
    ]
    assert "\n  onnxruntime " in ended.out
    assert "  dpiqa score " in ended.out.partition("\nnext\n")[2]


def test_another_network_is_no_advice_however_fast(one_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ms = {"dpiqa-lite0": 20.0, "dpiqa-lite0-int8": 10.0, "dpiqa-lite2-int8": 5.0}
    for name in ms:
        one_model.with_stem(name).touch()

    def state(file: Path, _: object) -> doctor.ModelState:
        return doctor.ModelState(name=file.stem, file=file, precision="", megabytes=0, evaluated_on=(),
                                 infer_ms={"openvino": ms[file.stem]})  # fmt: skip

    monkeypatch.setattr(doctor, "_try_model", state)
    assert " --model dpiqa-lite0-int8 " in examine().next[0]


def test_json_holds_the_same(dpiqa: Command, one_model: Path) -> None:
    ended = dpiqa("doctor", "--json")
    assert ended.status == 0
    found = json.loads(ended.out)
    engines = {engine["name"]: engine for engine in found["engines"]}
    assert list(engines) == ["onnxruntime", "openvino", "tensorrt", "executorch"]
    assert engines["onnxruntime"]["works"]
    assert all(engine["works"] == (engine["why_not"] is None) for engine in engines.values())
    (model,) = found["models"]
    assert (model["file"], model["precision"]) == (str(one_model), "fp32")
    assert set(model["infer_ms"]) == {name for name in ("onnxruntime", "openvino") if engines[name]["works"]}
    assert all(ms > 0 for ms in model["infer_ms"].values())
    assert model["evaluated_on"][0]["srcc"] == 0.75
    assert (found["driver"]["why_absent"] is None) == bool(found["driver"]["gpus"])


@pytest.mark.slow
@pytest.mark.usefixtures("one_model")
def test_it_needs_nothing_beyond_the_base_install() -> None:
    beyond = ["torch", "onnx", "modelopt", "scipy", "pandas", "matplotlib", "openvino", "dpiqa.native"]
    code = f"import sys; sys.modules.update(dict.fromkeys({beyond})); from dpiqa.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json"],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout)["engines"][0]["works"]


def test_without_models_it_says_so_and_fails(dpiqa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_FOLDER", tmp_path)
    ended = dpiqa("doctor")
    assert ended.status == 2
    assert "none shipped" in ended.out
    assert ended.out.count("no: this installation ships no model to try it with") == 4


def test_a_broken_model_is_told_not_raised(dpiqa: Command, one_model: Path) -> None:
    one_model.write_text("words")
    ended = dpiqa("doctor")
    assert ended.status == 2
    assert "no: not an ONNX model that ONNX Runtime can load" in ended.out


@pytest.mark.usefixtures("one_model")
def test_without_the_native_core_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dpiqa.native", None)
    assert native.why_absent()
    found = examine()
    engines = {engine.name: engine for engine in found.engines}
    assert engines["onnxruntime"].works
    assert not engines["openvino"].works
    assert "the native core is not here" in (engines["tensorrt"].why_not or "")
    assert found.next[:2] == ["dpiqa score photo.jpg", "pip install '.[openvino]'"]


def test_gpus_are_found_through_the_driver(driver: Callable[..., gpu.Driver]) -> None:
    found = driver()
    assert (found.cuda, found.why_absent) == ("13.2", None)
    assert gpu.find_gpu() == gpu.Gpu("First", "8.6", 49152)
    assert found.gpus == (gpu.Gpu("First", "8.6", 49152), gpu.Gpu("Second", "8.7", 49152))


def test_a_driver_that_fails_is_told_with_its_error(driver: Callable[..., gpu.Driver]) -> None:
    found = driver(status=999)
    assert found.gpus == ()
    assert found.why_absent == "the NVIDIA driver does not answer (CUDA_ERROR_MADE_UP)"
    assert driver(gpus=0).why_absent == "the NVIDIA driver has no GPU"


def test_a_library_that_is_no_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LIBRARY", "libm.so.6")
    assert "the NVIDIA driver does not answer" in (gpu.find_driver().why_absent or "")


def test_no_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LIBRARY", "libabsent.so.1")
    assert gpu.find_gpu() is None
    assert gpu.find_driver() == gpu.Driver(why_absent="no NVIDIA driver (libabsent.so.1 cannot be loaded)")


@pytest.mark.usefixtures("one_model")
def test_a_gpu_without_tensorrt_leads_to_the_export_extra(
    driver: Callable[..., gpu.Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver()
    monkeypatch.setattr(doctor, "find_tensorrt", lambda: ())
    found = examine()
    assert found.next[-1] == "pip install '.[export]'"
    assert "First, compute capability 8.6, 49152 MiB" in describe(found)
    monkeypatch.setattr(doctor, "find_tensorrt", lambda: (gpu.TensorRt("tensorrt-rtx", "1.7.1"),))
    found = examine()
    assert found.next[-1] == "dpiqa export trt --int8"
    assert "tensorrt-rtx 1.7.1 for Python" in describe(found)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as on a Jetson, whose TensorRT is JetPack's
    assert examine().next[-1] == "pip install '.[export]'"


def _install(folder: Path, module: str, distribution: str, version: str) -> None:
    (folder / module).mkdir()
    (folder / module / "__init__.py").touch()
    info = folder / f"{distribution}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")


def test_tensorrt_is_found_under_the_names_of_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for module in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert gpu.find_tensorrt() == ()
    _install(tmp_path, "tensorrt", "tensorrt_cu12", "10.9.0.34")
    _install(tmp_path, "tensorrt_rtx", "tensorrt_rtx_cu13", "1.7.1.116")
    assert gpu.find_tensorrt() == (
        gpu.TensorRt("tensorrt", "10.9.0.34"),
        gpu.TensorRt("tensorrt-rtx", "1.7.1.116"),
    )


@pytest.mark.parametrize(
    ("cpuinfo", "int8", "bf16", "words"),
    [
        ("flags\t\t: avx2 avx_vnni", ("avx_vnni",), (), "INT8 instructions (avx_vnni): INT8 models are exact"),
        ("flags\t\t: avx512_vnni amx_int8 amx_bf16", ("amx_int8", "avx512_vnni"), ("amx_bf16",), "stays unused"),
        ("Features\t: fp asimd asimddp i8mm bf16", ("i8mm", "asimddp"), ("bf16",), "(i8mm, asimddp)"),
        ("flags\t\t: avx2", (), (), "no INT8 instructions known"),
    ],
)
@pytest.mark.usefixtures("one_model")
def test_the_processor_is_read_as_the_kernel_names_it(
    cpuinfo: str,
    int8: tuple[str, ...],
    bf16: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: Made Up 1\n{cpuinfo}\n")
    monkeypatch.setattr(machine, "_CPUINFO", file)
    assert (machine.int8_instructions(), machine.bf16_instructions()) == (int8, bf16)
    assert machine.processor().startswith("Made Up 1, ")
    assert words in describe(examine())

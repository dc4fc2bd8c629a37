"""What this machine can do, found out by trying it: `dpiqa doctor`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnxruntime
from pydantic import BaseModel

from dpiqa.errors import DpiqaError, EngineError
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.engines.registry import ENGINES, open_engine
from dpiqa.runtime.gpu import Driver, TensorRt, find_driver, find_tensorrt
from dpiqa.runtime.machine import bf16_instructions, int8_instructions, processor
from dpiqa.runtime.models import shipped_models
from dpiqa.runtime.spec import EvaluatedOn

_RUNS = 5


class Cpu(BaseModel):
    """The processor, and its instructions that matter to a model."""

    name: str
    int8: tuple[str, ...]
    bf16: tuple[str, ...]


class EngineState(BaseModel):
    """Whether an engine works here; `why_not` is the reason if it does not."""

    name: str
    version: str | None
    works: bool
    why_not: str | None = None


class ModelState(BaseModel):
    """A shipped model: its contract in short, and the milliseconds that a frame takes on every engine that runs it."""

    name: str
    file: Path
    precision: str
    megabytes: float
    evaluated_on: tuple[EvaluatedOn, ...]
    infer_ms: dict[str, float]


class Diagnosis(BaseModel):
    """Everything that `dpiqa doctor` reports."""

    dpiqa: str | None
    python: str
    system: str
    cpu: Cpu
    driver: Driver
    tensorrt: tuple[TensorRt, ...]
    engines: list[EngineState]
    models: list[ModelState]
    next: list[str]


def examine() -> Diagnosis:
    """Try the engines on the shipped models, a second or two; what is broken is reported, not raised."""
    driver, tensorrt = find_driver(), find_tensorrt()
    failures = {} if shipped_models() else dict.fromkeys(ENGINES, "this installation ships no model to try it with")
    models = [model for file in shipped_models() if (model := _try_model(file, failures))]
    for file in shipped_models()[:1]:
        if reason := _why_no_tensorrt(file, driver):
            failures["tensorrt"] = reason
    versions = {"onnxruntime": onnxruntime.__version__, "openvino": _version("openvino")}
    engines = [
        EngineState(name=name, version=versions.get(name), works=name not in failures, why_not=failures.get(name))
        for name in ENGINES
    ]
    return Diagnosis(
        dpiqa=_version("dpiqa-edge"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=Cpu(name=processor(), int8=int8_instructions(), bf16=bf16_instructions()),
        driver=driver,
        tensorrt=tensorrt,
        engines=engines,
        models=models,
        next=_next(models, driver, tensorrt),
    )


def _try_model(file: Path, failures: dict[str, str]) -> ModelState | None:
    """Run a model on the engines for `.onnx`; the reason for a failure goes into `failures` under the engine's name."""
    spec, infer_ms = None, {}
    for name in ("onnxruntime", "openvino"):
        try:
            engine = open_engine(file, name)
            infer_ms[name] = _infer_ms(engine)
            spec = engine.spec
        except DpiqaError as error:
            failures.setdefault(name, _reason(error, file, name))
    if spec is None:
        return None
    return ModelState(
        name=file.stem,
        file=file,
        precision=spec.precision,
        megabytes=round(file.stat().st_size / 1e6, 1),
        evaluated_on=spec.evaluated_on,
        infer_ms=infer_ms,
    )


def _infer_ms(engine: Engine) -> float:
    size = engine.spec.input
    frame = np.random.default_rng(0).integers(0, 256, (1, size.height, size.width, 3), np.uint8)
    times = []
    for _ in range(_RUNS):
        began = perf_counter()
        engine.infer(frame)
        times.append((perf_counter() - began) * 1000)
    return round(median(times), 3)


def _why_no_tensorrt(model: Path, driver: Driver) -> str | None:
    """Why the engine `tensorrt` cannot run here. No engine file is shipped, so it is tried on what it must refuse."""
    try:
        open_engine(model, "tensorrt")
    except EngineError as error:
        if "its manifest" not in str(error):  # what a core with TensorRT looks for first
            return _reason(error, model, "tensorrt")
    return driver.why_absent


def _reason(error: DpiqaError, file: Path, engine: str) -> str:
    if engine != "onnxruntime" and (reason := why_absent()):
        return f"the native core is not here ({reason})"
    return str(error).removeprefix(f"{file}: ")


def _next(models: list[ModelState], driver: Driver, tensorrt: tuple[TensorRt, ...]) -> list[str]:
    """The commands that make the most of this machine, the most useful first."""
    commands = []
    same = [model for model in models if model.name.startswith(models[0].name)]  # speed is no reason to change networks
    runs = [(ms, model, engine) for model in same for engine, ms in model.infer_ms.items()]
    if runs:
        _, model, engine = min(runs, key=lambda run: run[0])
        options = [] if model is models[0] else [f"--model {model.name}"]
        options += [] if engine == ("onnxruntime" if why_absent() else "openvino") else [f"--engine {engine}"]
        commands.append(" ".join(["dpiqa score", *options, "photo.jpg"]))
    if why_absent():
        commands.append("pip install '.[openvino]'")
    if tensorrt and find_spec("onnx"):
        commands.append("dpiqa export trt --int8")
    elif tensorrt or driver.gpus:
        commands.append("pip install '.[export]'")
    return commands


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def describe(diagnosis: Diagnosis) -> str:
    """The diagnosis as text for people."""
    lines = [f"dpiqa {diagnosis.dpiqa or '(not installed)'}, Python {diagnosis.python}, {diagnosis.system}", ""]
    lines += [
        "processor",
        f"  {diagnosis.cpu.name}",
        f"  {_about_int8(diagnosis.cpu)}",
        "",
        "GPU",
        *_about_gpu(diagnosis),
        "",
    ]
    lines += ["engines"]
    for engine in diagnosis.engines:
        state = "works" if engine.works else f"no: {engine.why_not}"
        lines.append(f"  {engine.name:<12}{engine.version or '-':<12}{state}")
    lines += ["", "models"]
    for model in diagnosis.models:
        metrics = ", ".join(f"{data.name} {data.split} SRCC {data.srcc:.3f}" for data in model.evaluated_on)
        times = ", ".join(f"{engine} {ms:.1f} ms" for engine, ms in model.infer_ms.items())
        lines.append(f"  {model.name}, {model.precision}, {model.megabytes:.1f} MB: {metrics or 'not evaluated'}")
        lines.append(f"    a frame takes: {times}")
    lines += ["  none shipped"] * (not diagnosis.models) + ["", "next", *(f"  {command}" for command in diagnosis.next)]
    lines += ["  (dpiqa monitor: a camera's second, smaller stream costs less to decode, key frames alone least)"]
    return "\n".join(lines)


def _about_int8(cpu: Cpu) -> str:
    if cpu.int8:
        text = f"INT8 instructions ({', '.join(cpu.int8)}): INT8 models are exact and at full speed"
    else:
        text = "no INT8 instructions known (VNNI, AMX, dot product): INT8 models stay exact and gain less"
    bf16 = f"; bfloat16 ({', '.join(cpu.bf16)}) stays unused, scores would move" if cpu.bf16 else ""
    return text + bf16


def _about_gpu(diagnosis: Diagnosis) -> list[str]:
    driver = diagnosis.driver
    lines = [f"  {gpu.name}, compute capability {gpu.compute_capability}, {gpu.memory_mib} MiB" for gpu in driver.gpus]
    if driver.cuda:
        lines.append(f"  driver {driver.version or 'of unknown version'}, runs CUDA up to {driver.cuda}")
    lines += [f"  none: {driver.why_absent}"] * (driver.why_absent is not None)
    lines += [f"  {trt.flavour} {trt.version or 'of unknown version'} for Python" for trt in diagnosis.tensorrt]
    return lines if diagnosis.tensorrt else [*lines, "  no TensorRT for Python"]

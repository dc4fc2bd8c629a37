"""The network that an engine is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from dpiqa.errors import InputError
from dpiqa.export.gate.comparison import compare
from dpiqa.export.gate.deliver import deliver
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.report import Report
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.export.graphs.transform import for_tensorrt, half, resized, with_names
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.quantization.quantize import quantize
from dpiqa.export.tensorrt.options import Precision
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_models
from dpiqa.runtime.spec import ModelSpec
from dpiqa.train.model_files import load_model, read_contract, save_model

# Noise and flat colour are no pictures: ranks among six of them mean nothing, and what they may drift is one limit.
_FP16_BUDGET = Budget(srcc_drop=2.0, drift=1.0, mean_drift=1.0, pictures=1)


@dataclass(frozen=True)
class Network:
    """The network that an engine is built from, as it was written.

    `judged`: in words, whether its scores were compared with FP32. `report`: what was found, where it was done here.
    """

    onnx: Path
    graph: onnx.ModelProto
    spec: ModelSpec
    judged: str
    report: Report | None = None

    @property
    def quantization(self) -> Mapping[str, Any]:
        """How it became INT8; empty where that was not done here."""
        return (self.report.manifest if self.report else None) or {}


def prepare_network(
    path: Path, precision: Precision, size: tuple[int, int] | None, quantization: Quantization | None, out: Path
) -> Network:
    """Write into `out` the ONNX file that the engine is built from, judged wherever it is not the model itself."""
    graph = load_model(path)
    spec = open_engine(path, "onnxruntime").spec  # refuses a graph that is not what its contract says
    if spec.precision != "fp32" and (spec.precision != precision or quantization):
        raise InputError(f"{path}: is {spec.precision} already, name the fp32 model that it was made from")
    if precision == "int8" and spec.precision == "fp32" and quantization is None:
        raise InputError(f"{path}: is fp32, --int8 needs --calibration with pictures like those that it will see")
    if precision != "int8" and quantization:
        raise InputError(f"--calibration {quantization.calibration}: is for --int8 only")
    graph = for_tensorrt(with_names(graph))
    judged = "below" if spec.precision != precision else _judged_before(path, spec)
    stem = path.stem if path.stem.endswith(f"-{precision}") else f"{path.stem}-{precision}"
    if size is not None and size != (spec.input.height, spec.input.width):
        graph, spec = resized(graph, spec, *size)
        stem += f"-{size[0]}x{size[1]}"
        if spec.precision == "int8":
            judged = "not at this size (--calibration with the FP32 model quantizes and judges at it)"
    target = out / f"{stem}.onnx"
    if path.resolve() == target.resolve():
        raise InputError(f"--out {out}: {target} would be written onto the model, choose another folder")
    report = None
    with TemporaryDirectory() as folder:
        reference, candidate = Path(folder, "reference.onnx"), Path(folder, "candidate.onnx")
        save_model(graph, spec, reference)
        if quantization is not None:
            report = quantize(reference, candidate, quantization, f"{target.name}: INT8 against FP32")
        elif precision == "fp16" and spec.precision == "fp32":
            save_model(half(graph), spec.model_copy(update={"precision": "fp16", "evaluated_on": ()}), candidate)
            frames = probe_frames(spec.input)
            found = compare(reference, candidate, frames, [f"test pattern {i + 1}" for i in range(len(frames))])
            report = Report(f"{target.name}: FP16 against FP32", comparison=found, budget=_FP16_BUDGET)
        if report is not None:
            deliver(candidate, target, report)
        else:
            open_engine(reference, "onnxruntime")  # which runs it, at this size too
            save_model(graph, spec, target)
    written = load_model(target)
    return Network(target, written, read_contract(written, target), judged, report)


def _judged_before(path: Path, spec: ModelSpec) -> str:
    if spec.precision == "fp32":
        return "is FP32 itself"
    shipped = path.resolve() in shipped_models()
    return "before the model was shipped" if shipped else "not here (python -m export.verify does)"

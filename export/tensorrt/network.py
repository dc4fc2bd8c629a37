"""The network that an engine is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpiqa.errors import InputError
from dpiqa.export.gate.comparison import compare
from dpiqa.export.gate.deliver import deliver
from dpiqa.export.gate.half_precision import half_engine
from dpiqa.export.gate.options import MIN_PICTURES, Budget
from dpiqa.export.gate.pictures import Pictures, read_pictures
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.gate.report import Report
from dpiqa.export.graphs.model import Model
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.export.graphs.transform import first_shape, for_tensorrt, half, one_shape, resized, with_names
from dpiqa.export.quantization.options import Quantization
from dpiqa.export.quantization.quantize import quantize
from dpiqa.export.tensorrt.options import Precision
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.models import shipped_models
from dpiqa.train.model_files import load_model

# Test patterns are no pictures: the ranks of six of them mean nothing, and one limit on their drift is enough.
_FP16_BUDGET = Budget(srcc_drop=2.0, drift=1.0, mean_drift=1.0, pictures=1)


@dataclass(frozen=True)
class Network:
    """The network that an engine is built from, as written to `file`.

    `verified`: where its scores were compared with FP32, in words. `report`: the comparison, if it was made here.
    """

    file: Path
    model: Model
    verified: str
    report: Report | None = None

    @property
    def quantization(self) -> Mapping[str, Any]:
        """How it was quantized; empty if not here."""
        return (self.report.manifest if self.report else None) or {}


def prepare_network(
    path: Path,
    precision: Precision,
    size: tuple[int, int] | None,
    quantization: Quantization | None,
    out: Path,
    notify: Notify = ignore,
) -> Network:
    """Write the ONNX file that the engine is built from to `out`, verified wherever its numbers differ from `path`."""
    graph = load_model(path)
    model = Model(graph, open_engine(path, "onnxruntime").spec)  # refuses a graph that breaks its contract
    before = model.spec.precision
    if before != "fp32" and (before != precision or quantization):
        raise InputError(f"{path}: is {before} already, name the fp32 model that it was made from")
    if precision == "int8" and before == "fp32" and quantization is None:
        raise InputError(f"{path}: is fp32, --int8 needs --calibration with pictures like those it will score")
    if precision == "fp32" and quantization:
        raise InputError(f"--calibration {quantization.calibration}: is for --int8 and --fp16 only")
    model = model._replace(graph=for_tensorrt(with_names(model.graph)))
    verified = "below" if before != precision else _verified_before(path, model)
    stem = path.stem if path.stem.endswith(f"-{precision}") else f"{path.stem}-{precision}"
    first = (model.spec.input.height, model.spec.input.width)
    if model.spec.input.other_shapes and size is None:
        notify(one_shape(path, model.spec))
        model = Model(*first_shape(*model))
    elif size is not None and (size != first or model.spec.input.other_shapes):
        model = Model(*resized(*model, *size))
        stem += f"-{size[0]}x{size[1]}"
        if before == "int8":
            verified = "not at this size (--calibration with the FP32 model quantizes and compares at it)"
    target = out / f"{stem}.onnx"
    if path.resolve() == target.resolve():
        raise InputError(f"--out {out}: {target} would overwrite the model, choose another folder")
    if precision == "fp16" and before == "fp32":
        model, report = _halved(model, quantization)
    elif quantization is not None:
        model, report = quantize(model, quantization, notify)
    else:
        model.engine()  # runs it, also at another size
        return Network(target, model.save(target), verified)
    return Network(target, deliver(model, target, report, notify=notify), verified, report)


def _halved(model: Model, settings: Quantization | None) -> tuple[Model, Report]:
    """The model in FP16, compared with FP32 on the pictures of `settings` or, without them, on test patterns."""
    halved = Model(half(model.graph), model.spec).declaring(precision="fp16", evaluated_on=())
    if settings:
        pictures = read_pictures(settings.calibration, model.spec.input, MIN_PICTURES, settings.seed)
        budget = settings.budget
    else:
        frames = probe_frames(model.spec.input)
        pictures = Pictures(frames, tuple(f"test pattern {number}" for number in range(1, len(frames) + 1)))
        budget = _FP16_BUDGET
    comparison = compare(model.engine(), half_engine(halved), pictures, progress=settings is not None)
    return halved, Report(f"FP16 against FP32 ({comparison.engine})", comparison, budget=budget)


def _verified_before(path: Path, model: Model) -> str:
    if model.spec.precision == "fp32":
        return "is FP32 itself"
    shipped = path.resolve() in shipped_models()
    return "before the model was shipped" if shipped else "not here (dpiqa export verify does)"

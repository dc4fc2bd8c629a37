"""From a model file to a TensorRT engine that explains itself: `python -m export.trt --int8`."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import onnx
import typer

from runtime.command import run
from runtime.engines import open_engine
from runtime.errors import GateError, InputError, ToolError, unreadable
from runtime.files import atomic_write
from runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model, shipped_models
from runtime.spec import ModelSpec
from train.contract import load_model, read_contract, save_model

from .calibration import SOURCES
from .comparison import MIN_PICTURES, Budget, compare
from .engine_builder import BuildOptions, Engine, build
from .graphs import for_tensorrt, half, parse_size, resized, with_names
from .int8 import Quantization, quantize
from .manifest import BatchProfile, Manifest, is_built, manifest_path, sha256
from .precisions import convolution_shares
from .probes import probe_frames
from .report import Report, write_report
from .sensitivity import convolution_macs
from .tensorrt_api import DEFAULT_SMS, Flavour, find_flavour
from .verify import deliver

Precision = Literal["int8", "fp16", "fp32"]
MIN_INT8 = 0.95
# Noise and flat colour are no pictures: ranks among six of them mean nothing, and what they may drift is one limit.
_FP16_BUDGET = Budget(srcc_drop=2.0, drift=1.0, mean_drift=1.0, pictures=1)


@dataclass(frozen=True)
class _Source:
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


def main(
    int8: Annotated[bool, typer.Option("--int8", help="The shipped Q/DQ graph, or --calibration's.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision.")] = False,
    model: Annotated[Path | None, typer.Option(help="A model file with a contract (default: the shipped one).")] = None,
    calibration: Annotated[
        str | None, typer.Option(help=f"Quantize an FP32 model on these pictures, and judge it on others: {SOURCES}.")
    ] = None,
    allow_few: Annotated[bool, typer.Option(help="Calibrate and judge on however few pictures there are.")] = False,
    auto_repair: Annotated[bool, typer.Option(help="Keep the few layers in FP32 that the budget asks for.")] = False,
    max_srcc_drop: Annotated[float, typer.Option(min=0, help="What quantization may cost.")] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path("engines"),
    flavour: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx"],
        typer.Option(help="auto: full TensorRT where it is installed and a GPU answers, else TensorRT-RTX."),
    ] = "auto",
    sm: Annotated[
        str | None, typer.Option(help=f"TensorRT-RTX compiles for these GPUs (default {DEFAULT_SMS}).")
    ] = None,
    min_batch: Annotated[int, typer.Option(min=1)] = 1,
    opt_batch: Annotated[int, typer.Option(min=1, help="Frames at once that the engine is fastest at.")] = 1,
    max_batch: Annotated[int, typer.Option(min=1)] = 4,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Take frames of another size.")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="Full TensorRT: what earlier builds timed.")] = None,
    dla: Annotated[int | None, typer.Option(min=0, help="Jetson: the DLA core that runs what it can.")] = None,
    workspace: Annotated[int | None, typer.Option(min=1, metavar="MB", help="Memory that a layer may use.")] = None,
    allow_partial_int8: Annotated[
        bool, typer.Option(help=f"Accept less than {MIN_INT8:.0%} of the convolutions' work in INT8.")
    ] = False,
) -> None:
    """Build an engine, its manifest and a report; the same request again reuses the engine.

    Exit status: 3 when the INT8 or FP16 model breaks its budget or the engine is not INT8, 4 when no TensorRT is
    installed; the ONNX file is written then.
    """
    precision = _precision(int8, fp16, fp32)
    options = BuildOptions((), (min_batch, opt_batch, max_batch), workspace, dla, timing_cache)
    height_width = parse_size(size) if size else None
    try:
        found, missing = find_flavour(flavour), None
    except ToolError as error:
        found, missing = None, error
    if found is not None:
        options = options.on(found, sm)
    path = model or shipped_model(INT8_MODEL if precision == "int8" and not calibration else DEFAULT_MODEL)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unreadable(out, error) from None
    quantization = None
    if calibration is not None:
        budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
        quantization = Quantization(calibration, budget, allow_few=allow_few, auto_repair=auto_repair)
    source = _prepare(path, precision, height_width, quantization, out)
    if found is None:
        raise ToolError(f"{missing}; {source.onnx} is written, the engine is not")
    _build_engine(source, found, options, allow_partial_int8)


def _precision(int8: bool, fp16: bool, fp32: bool) -> Precision:
    options: dict[Precision, bool] = {"int8": int8, "fp16": fp16, "fp32": fp32}
    asked: list[Precision] = [name for name, wanted in options.items() if wanted]
    if len(asked) != 1:
        raise InputError(f"name one precision, --int8, --fp16 or --fp32; found {len(asked)}")
    return asked[0]


def _prepare(
    path: Path, precision: Precision, size: tuple[int, int] | None, quantization: Quantization | None, out: Path
) -> _Source:
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
    return _Source(target, written, read_contract(written, target), judged, report)


def _judged_before(path: Path, spec: ModelSpec) -> str:
    if spec.precision == "fp32":
        return "is FP32 itself"
    shipped = path.resolve() in shipped_models()
    return "before the model was shipped" if shipped else "not here (python -m export.verify does)"


def _build_engine(source: _Source, flavour: Flavour, options: BuildOptions, allow_partial_int8: bool) -> None:
    """Write engine, manifest and report; nothing when they lie there already, or the engine is not what was asked."""
    target = source.onnx.with_suffix(".engine")
    manifest = Manifest(
        onnx_sha256=sha256(source.onnx),
        flavour=flavour.name,
        tensorrt_version=flavour.version,
        precision=source.spec.precision,
        compute_capabilities=options.capabilities,
        gpu=flavour.gpu.name if flavour.gpu else None,
        profile=BatchProfile(**dict(zip(("min", "opt", "max"), options.batches, strict=True))),
        workspace_mb=options.workspace_mb,
        dla=options.dla,
        calibration_sha256=source.quantization.get("calibration", {}).get("sha256"),
        engine_sha256="0" * 64,
        rebuild=shlex.join(["python", "-m", "export.trt", *sys.argv[1:]]),
        contract=source.spec,
    )
    if is_built(target, manifest):
        typer.echo(f"{target}: built already from the same request, reused")
        return
    typer.echo(f"{flavour.name} {flavour.version}: building for {', '.join(options.capabilities)}")
    engine = build(flavour, source.graph, source.spec, options)
    macs = convolution_macs(source.graph)
    shares = convolution_shares(macs, engine.layers)
    told = ", ".join(f"{share:.1%} {kind}" for kind, share in shares.items()) or "none"
    if source.spec.precision == "int8":
        if shares.get("Int8", 0.0) < MIN_INT8 and not allow_partial_int8:
            raise GateError(
                f"{target}: not written, the convolutions run {told} where {MIN_INT8:.0%} INT8 is the least "
                "(--allow-partial-int8 accepts it)"
            )
        int8 = sum("Int8" in convolution_shares({name: 1.0}, engine.layers) for name in macs)
        told += f" ({int8} of {len(macs)} convolutions INT8)"
    found = {"convolution_shares": shares, "engine_sha256": hashlib.sha256(engine.plan).hexdigest()}
    page = _write(engine, manifest.model_copy(update=found), source, told, target)
    typer.echo(f"compared with FP32: {source.judged}; convolutions' work: {told}, {len(engine.layers)} layers in all")
    typer.echo(f"{target}: {len(engine.plan) / 1e6:.1f} MB; {manifest_path(target)}; {page}")


def _write(engine: Engine, manifest: Manifest, source: _Source, told: str, target: Path) -> Path:
    """Write the engine with its manifest and its report, and return where the report is."""
    document = manifest.model_dump_json(indent=1)
    size, batches = manifest.contract.input, manifest.profile
    report = replace(
        source.report or Report(""),
        title=target.name,
        facts={
            "built for": manifest.gpu or f"compute capability {', '.join(manifest.compute_capabilities)}",
            "built by": f"{manifest.flavour} {manifest.tensorrt_version}",
            "frames": f"{size.height}x{size.width}, {batches.min} to {batches.max} at once, fastest at {batches.opt}",
            "convolutions' work": told,
            "compared with FP32": source.judged,
        },
        manifest=json.loads(document) | ({"quantization": source.quantization} if source.quantization else {}),
        layers=[layer.row() for layer in engine.layers],
    )
    page = target.with_suffix(".trt.html")  # x.html is the report on the model itself
    with atomic_write(target) as plan, atomic_write(manifest_path(target)) as beside:
        plan.write(engine.plan)
        beside.write(document.encode() + b"\n")
        write_report(report, page)
    return page


if __name__ == "__main__":
    run(main)

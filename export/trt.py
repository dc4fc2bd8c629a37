"""From a model file to a TensorRT engine that explains itself: `python -m export.trt --int8`."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import onnx
import typer

from runtime.command import run
from runtime.engines import open_engine
from runtime.errors import GateError, InputError, ToolError, unreadable
from runtime.files import atomic_write
from runtime.models import DEFAULT_MODEL, shipped_model
from runtime.spec import ModelSpec
from train.contract import load_model, read_contract, save_model

from .calibration import SOURCES
from .engine_builder import BuildOptions, Engine, build
from .graphs import for_tensorrt, half, resized
from .manifest import BatchProfile, Manifest, is_built, manifest_path, sha256
from .precisions import convolution_shares
from .probes import probe_frames
from .report import Report, write_report
from .sensitivity import convolution_macs
from .tensorrt_api import DEFAULT_SMS, Flavour, find_flavour
from .verify import Budget, Comparison, compare, gate

Precision = Literal["int8", "fp16", "fp32"]
MIN_INT8 = 0.95
# Noise and flat colour are no pictures: ranks among six of them mean nothing, and what they may drift is one limit.
_FP16_BUDGET = Budget(srcc_drop=2.0, drift=1.0, mean_drift=1.0, pictures=1)


@dataclass(frozen=True)
class _Quantization:
    """How an FP32 model becomes INT8, and what that may cost."""

    calibration: str
    allow_few: bool
    auto_repair: bool
    budget: Budget

    def run(self, model: Path, out: Path) -> None:
        """Write `out` with its report if the budget is kept; raises what export.int8 does."""
        from .int8 import main as quantize  # brings PyTorch, which a shipped model needs not

        quantize(
            model,
            self.calibration,
            out,
            allow_few=self.allow_few,
            auto_repair=self.auto_repair,
            max_srcc_drop=self.budget.srcc_drop,
            max_drift=self.budget.drift,
            max_mean_drift=self.budget.mean_drift,
        )


@dataclass(frozen=True)
class _Source:
    """The network that an engine is built from, as it was written, and how it was judged on the way."""

    onnx: Path
    graph: onnx.ModelProto
    spec: ModelSpec
    comparison: Comparison | None = None
    calibration_sha256: str | None = None


def main(
    int8: Annotated[bool, typer.Option("--int8", help="The shipped Q/DQ graph, or --calibration's.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision.")] = False,
    model: Annotated[Path | None, typer.Option(help="A model file with a contract (default: the shipped one).")] = None,
    calibration: Annotated[
        str | None, typer.Option(help=f"Quantize an FP32 model on these pictures, and judge it on others: {SOURCES}.")
    ] = None,
    allow_few: Annotated[bool, typer.Option(help="Calibrate and judge on however few pictures there are.")] = False,
    auto_repair: Annotated[bool, typer.Option(help="Keep in FP32 the fewest layers that meet the budget.")] = False,
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
    height_width = _parse_size(size)
    try:
        found, missing = find_flavour(flavour), None
    except ToolError as error:
        found, missing = None, error
    if found is not None:
        options = options.on(found, sm)
    path = model or shipped_model(f"{DEFAULT_MODEL}-int8" if precision == "int8" and not calibration else DEFAULT_MODEL)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unreadable(out, error) from None
    quantization = None
    if calibration is not None:
        budget = Budget(max_srcc_drop, max_drift, max_mean_drift)
        quantization = _Quantization(calibration, allow_few, auto_repair, budget)
    source = _prepare(path, precision, height_width, quantization, out)
    if found is None:
        raise ToolError(f"{missing}; {source.onnx} is written, the engine is not")
    _build_engine(source, found, options, allow_partial_int8)


def _precision(int8: bool, fp16: bool, fp32: bool) -> Precision:
    asked: list[Precision] = [name for name, wanted in (("int8", int8), ("fp16", fp16), ("fp32", fp32)) if wanted]  # type: ignore[misc]
    if len(asked) != 1:
        raise InputError(f"name one precision, --int8, --fp16 or --fp32; found {len(asked)}")
    return asked[0]


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError(f"--size {text}: expected height x width in pixels, such as 288x512")
    return int(height), int(width)


def _prepare(
    path: Path, precision: Precision, size: tuple[int, int] | None, quantization: _Quantization | None, out: Path
) -> _Source:
    """Write into `out` the ONNX file that the engine is built from, judged wherever it is not the model itself."""
    graph = load_model(path)
    spec = read_contract(graph, path)
    open_engine(path, "onnxruntime")  # refuses a graph that is not what its contract says
    if spec.precision != "fp32" and (spec.precision != precision or quantization):
        raise InputError(f"{path}: is {spec.precision} already, name the fp32 model that it was made from")
    if precision == "int8" and spec.precision == "fp32" and quantization is None:
        raise InputError(f"{path}: is fp32, --int8 needs --calibration with pictures like those that it will see")
    if precision != "int8" and quantization:
        raise InputError(f"--calibration {quantization.calibration}: is for --int8 only")
    graph = for_tensorrt(graph)
    stem = path.stem if path.stem.endswith(f"-{precision}") else f"{path.stem}-{precision}"
    if size is not None and size != (spec.input.height, spec.input.width):
        graph, spec = resized(graph, spec, *size)
        stem += f"-{size[0]}x{size[1]}"
    target = out / f"{stem}.onnx"
    if path.resolve() == target.resolve():
        raise InputError(f"--out {out}: {target} would be written onto the model, choose another folder")
    with TemporaryDirectory() as folder:
        reference = Path(folder, path.name)
        save_model(graph, spec, reference)
        comparison = calibration_sha256 = None
        if quantization is not None:
            quantization.run(reference, target)
            told = json.loads(target.with_suffix(".json").read_bytes())
            calibration_sha256 = told["manifest"]["calibration"]["sha256"]
        elif precision == "fp16" and spec.precision == "fp32":
            candidate = Path(folder, target.name)
            save_model(half(graph), spec.model_copy(update={"precision": "fp16", "evaluated_on": ()}), candidate)
            frames = probe_frames(spec.input)
            comparison = compare(reference, candidate, frames, [f"probe {i}" for i in range(len(frames))])
            gate(comparison, _FP16_BUDGET)
            with candidate.open("rb") as whole, atomic_write(target) as file:
                shutil.copyfileobj(whole, file)
        else:
            open_engine(reference, "onnxruntime").infer(probe_frames(spec.input)[:1])  # runs, at this size too
            save_model(graph, spec, target)
    written = load_model(target)
    return _Source(target, written, read_contract(written, target), comparison, calibration_sha256)


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
        calibration_sha256=source.calibration_sha256,
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
    int8 = sum("Int8" in convolution_shares({name: 1.0}, engine.layers) for name in macs)
    told = ", ".join(f"{share:.1%} {kind}" for kind, share in shares.items())
    if source.spec.precision == "int8" and shares.get("Int8", 0.0) < MIN_INT8 and not allow_partial_int8:
        raise GateError(
            f"{target}: not written, the convolutions run {told} where {MIN_INT8:.0%} INT8 is the least "
            "(--allow-partial-int8 accepts it)"
        )
    found = {"convolution_shares": shares, "engine_sha256": hashlib.sha256(engine.plan).hexdigest()}
    _write(engine, manifest.model_copy(update=found), source.comparison, target)
    typer.echo(
        f"convolutions' work: {told} ({int8} of {len(macs)} convolutions INT8, {len(engine.layers)} layers in all)"
    )
    typer.echo(f"{target}: {len(engine.plan) / 1e6:.1f} MB; {manifest_path(target)}; {_report_path(target)}")


def _report_path(target: Path) -> Path:
    return target.with_suffix(".trt.html")  # x.html is the report on the model itself


def _write(engine: Engine, manifest: Manifest, comparison: Comparison | None, target: Path) -> None:
    document = manifest.model_dump_json(indent=1)
    with atomic_write(target) as plan, atomic_write(manifest_path(target)) as beside:
        plan.write(engine.plan)
        beside.write(document.encode() + b"\n")
        rows = [layer.row() for layer in engine.layers]
        write_report(Report(target.name, comparison, manifest=json.loads(document), layers=rows), _report_path(target))


if __name__ == "__main__":
    run(main)

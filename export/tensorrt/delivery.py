"""An engine with its manifest and its report, written or reused."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path

import typer

from dpiqa.errors import GateError
from dpiqa.export.gate.report import Report, write_report
from dpiqa.export.quantization.qdq import convolution_macs
from dpiqa.export.tensorrt.api import Flavour
from dpiqa.export.tensorrt.engine_builder import BuildOptions, Engine, build
from dpiqa.export.tensorrt.manifest import BatchProfile, Manifest, is_built, manifest_path, sha256
from dpiqa.export.tensorrt.network import Network
from dpiqa.export.tensorrt.options import MIN_INT8
from dpiqa.export.tensorrt.precisions import convolution_shares
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import arguments_of


def deliver_engine(source: Network, flavour: Flavour, options: BuildOptions, allow_partial_int8: bool) -> None:
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
        rebuild=shlex.join(["dpiqa", "export", "trt", *arguments_of("trt")]),
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


def _write(engine: Engine, manifest: Manifest, source: Network, told: str, target: Path) -> Path:
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

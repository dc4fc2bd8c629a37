"""An engine with its manifest and its report, written or reused."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path

from dpiqa.errors import GateError
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.gate.report import Report, write_report
from dpiqa.export.quantization.qdq import convolution_macs
from dpiqa.export.tensorrt.api import Flavour
from dpiqa.export.tensorrt.engine_builder import BuildOptions, Engine, build, shares_profiles
from dpiqa.export.tensorrt.manifest import BatchProfile, Manifest, is_built, manifest_path, sha256
from dpiqa.export.tensorrt.network import Network
from dpiqa.export.tensorrt.options import MIN_INT8
from dpiqa.export.tensorrt.precisions import convolution_shares
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import arguments_of


def deliver_engine(
    network: Network, flavour: Flavour, options: BuildOptions, allow_partial_int8: bool, notify: Notify = ignore
) -> None:
    """Write engine, manifest and report, unless an engine built from the same request is there.

    Raises GateError, and writes nothing, when too little of an INT8 engine runs in INT8.
    """
    target = network.file.with_suffix(".engine")
    graph, spec = network.model
    request = Manifest(
        onnx_sha256=sha256(network.file),
        flavour=flavour.name,
        tensorrt_version=flavour.version,
        precision=spec.precision,
        compute_capabilities=options.capabilities,
        gpu=flavour.gpu.name if flavour.gpu else None,
        profile=BatchProfile(**dict(zip(("min", "opt", "max"), options.batches, strict=True))),
        workspace_mb=options.workspace_mb,
        dla=options.dla,
        version_compatible=options.version_compatible,
        profile_sharing=shares_profiles(flavour.api),
        calibration_sha256=network.quantization.get("calibration", {}).get("sha256"),
        engine_sha256="0" * 64,
        rebuild=shlex.join(["dpiqa", "export", "trt", *arguments_of("trt")]),
        contract=spec,
    )
    if is_built(target, request):
        notify(f"{target}: built already from the same request, reused")
        return
    notify(f"{flavour.name} {flavour.version}: building for {', '.join(options.capabilities)}")
    engine = build(flavour, graph, spec, options)
    macs = convolution_macs(graph)
    shares = convolution_shares(macs, engine.layers)
    work = ", ".join(f"{share:.1%} {kind}" for kind, share in shares.items()) or "none"
    if spec.precision == "int8":
        if shares.get("Int8", 0.0) < MIN_INT8 and not allow_partial_int8:
            raise GateError(
                f"{target}: not written, the convolutions run {work} where at least {MIN_INT8:.0%} INT8 is required "
                "(--allow-partial-int8 accepts it)"
            )
        int8 = sum("Int8" in convolution_shares({name: 1.0}, engine.layers) for name in macs)
        work += f" ({int8} of {len(macs)} convolutions INT8)"
    manifest = request.model_copy(
        update={"convolution_shares": shares, "engine_sha256": hashlib.sha256(engine.plan).hexdigest()}
    )
    page = _write(engine, manifest, network, work, target)
    notify(f"compared with FP32: {network.verified}; convolutions' work: {work}, {len(engine.layers)} layers in all")
    notify(f"{target}: {len(engine.plan) / 1e6:.1f} MB; {manifest_path(target)}; {page}")


def _write(engine: Engine, manifest: Manifest, network: Network, work: str, target: Path) -> Path:
    """Write the engine with its manifest and its report, and return the path of the report."""
    document = manifest.model_dump_json(indent=1)
    size, batches = manifest.contract.input, manifest.profile
    report = replace(
        network.report or Report(""),
        title=target.name,
        facts={
            "built for": manifest.gpu or f"compute capability {', '.join(manifest.compute_capabilities)}",
            "built by": f"{manifest.flavour} {manifest.tensorrt_version}",
            "frames": f"{size.height}x{size.width}, {batches.min} to {batches.max} at once, fastest at {batches.opt}",
            "convolutions' work": work,
            "compared with FP32": network.verified,
        },
        manifest=json.loads(document) | ({"quantization": network.quantization} if network.quantization else {}),
        layers=[layer.row() for layer in engine.layers],
    )
    page = target.with_suffix(".trt.html")  # x.html is the report on the model itself
    with atomic_write(target) as plan, atomic_write(manifest_path(target)) as manifest_file:
        plan.write(engine.plan)
        manifest_file.write(document.encode() + b"\n")
        write_report(report, page)
    return page

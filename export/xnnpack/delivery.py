"""A `.pte` file, written when the engine that runs it in cameras gives the scores that it must."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dpiqa.errors import ContractError, GateError, ToolError
from dpiqa.export.gate.comparison import compare_files, gate
from dpiqa.export.gate.options import Budget
from dpiqa.export.gate.pictures import read_pictures
from dpiqa.export.gate.progress import Notify
from dpiqa.export.gate.report import Report, write_report
from dpiqa.export.graphs.model import Model, read_model
from dpiqa.export.graphs.probes import probe_frames
from dpiqa.export.graphs.transform import first_shape, one_shape
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.files import atomic_write

MAX_PARITY_ERROR = 0.05  # points, FP32 against ONNX Runtime
ENGINE = "executorch"


def deliver_fp32(model: Path, out: Path, with_map: bool, notify: Notify) -> None:
    """Write a program of an FP32 model; GateError if any output is too far off ONNX Runtime's on test patterns."""
    with _candidate(model, with_map) as program:
        reference, candidate = open_engine(model, "onnxruntime"), open_engine(program, ENGINE)
        error = parity_error(reference, candidate)
        if not error <= MAX_PARITY_ERROR:  # also NaN
            raise GateError(f"{out}: not written, {error:.3f} points off ONNX Runtime (limit {MAX_PARITY_ERROR})")
        _copy(program, out)
    notify(f"{out}: {out.stat().st_size / 1e6:.1f} MB, at most {error:.4f} points off ONNX Runtime")


def deliver_int8(
    model: Path, reference: Path, images: str, budget: Budget, out: Path, with_map: bool, page: Path | None, seed: int,
    notify: Notify,
) -> None:  # fmt: skip
    """Write a program of an INT8 model if it keeps the budget against its FP32 reference, and the report either way."""
    spec = read_model(model).spec
    if read_model(reference).spec.input != spec.input:
        raise ContractError(f"{model}: takes another input than {reference}, they cannot be compared")
    pictures = read_pictures(images, spec.input, budget.pictures, seed)
    with _candidate(model, with_map) as program:
        comparison = compare_files(reference, program, pictures, ENGINE, progress=True)
        own = compare_files(model, program, pictures, ENGINE, progress=True)
        page = page or out.with_suffix(".pte.html")
        facts = {"against the INT8 model file in ONNX Runtime": str(own)}
        write_report(Report(f"{out.name} against {reference.name}", comparison, budget=budget, facts=facts), page)
        notify(f"{out.name} against {reference.name} {comparison}; {page}")
        notify(f"{out.name} against {model.name} {own}")
        try:
            gate(comparison, budget)
        except GateError as error:
            raise GateError(f"{out}: not written, {error}") from None
        _copy(program, out)
    notify(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def parity_error(reference: Engine, candidate: Engine) -> float:
    """Largest difference in points of 100, over all outputs that the candidate has, on test patterns."""
    errors = [0.0]
    frames = probe_frames(reference.spec.input)
    for ours, theirs in zip(reference.infer(frames), candidate.infer(frames), strict=True):
        errors.append(abs(ours.score - theirs.score))
        for scale, expected, actual in ((100, ours.causes, theirs.causes), (1, ours.map, theirs.map)):
            if expected is not None and actual is not None:
                errors.append(scale * float(np.abs(expected - actual).max()))
    return float(np.max(errors))


@contextmanager
def one_shape_file(model: Path, notify: Notify) -> Iterator[Path]:
    """The model file itself or, where it takes several shapes, one for the first alone: a program has one."""
    original = read_model(model)
    if not original.spec.input.other_shapes:
        yield model
        return
    notify(one_shape(model, original.spec))
    with TemporaryDirectory() as folder:
        file = Path(folder, model.name)
        Model(*first_shape(*original)).save(file)
        yield file


@contextmanager
def _candidate(model: Path, with_map: bool) -> Iterator[Path]:
    try:
        from dpiqa.export.xnnpack.program import program_file
    except ImportError as error:
        raise ToolError(f"ExecuTorch is not installed ({error}); docs/firmware.md says how to") from None
    content = program_file(read_model(model), hashlib.sha256(model.read_bytes()).hexdigest(), with_map)
    with TemporaryDirectory() as folder:
        program = Path(folder, "model.pte")
        program.write_bytes(content)
        yield program


def _copy(program: Path, out: Path) -> None:
    with atomic_write(out) as file:
        file.write(program.read_bytes())

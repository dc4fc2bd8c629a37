"""Engines of a real TensorRT, built by the command that users have, and why they may not run here."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from reference import MODEL

from dpiqa.errors import EngineError, InputError
from dpiqa.export.tensorrt.api import Flavour
from dpiqa.export.tensorrt.manifest import read_manifest
from dpiqa.runtime.engines.native import why_absent
from dpiqa.runtime.gpu import Driver
from dpiqa.runtime.models import INT8_MODEL, shipped_model

OPT_BATCH, MAX_BATCH = 8, 16


def build(
    flavour: Flavour, sm: str | None, precision: str, folder: Path, seconds: float
) -> tuple[Path, dict[str, Any]]:
    """The engine of a shipped model, and its row. Raises EngineError with the reason that the command gives."""
    command = ["-m", "dpiqa.export.trt", f"--{precision}", "--flavour", flavour.name, "--out", str(folder),
               "--opt-batch", str(OPT_BATCH), "--max-batch", str(MAX_BATCH)] + (["--sm", sm] if sm else [])  # fmt: skip
    began = time.monotonic()
    try:
        ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        raise EngineError(f"the {precision} engine was not built within {seconds:.0f} s") from None
    took = time.monotonic() - began
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines() or ["it gave no reason"]
        raise EngineError(f"{' '.join(command[1:])} ended with {ended.returncode}: {lines[-1]}")
    engine = folder / f"{MODEL.stem}-{precision}.engine"
    manifest = read_manifest(engine)
    if manifest is None:
        raise EngineError(f"{engine}: has no valid manifest")
    return engine, {
        "precision": precision,
        "seconds": took,
        "megabytes": engine.stat().st_size / 1e6,
        "compute_capabilities": manifest.compute_capabilities,
        "convolution_shares": manifest.convolution_shares,
    }


def why_no_gpu(flavour: Flavour, driver: Driver) -> str | None:
    """Why no engine of this flavour runs on this machine's GPU, None where one does."""
    if not driver.gpus:
        return driver.why_absent
    gpu = driver.gpus[0]
    try:
        flavour.capabilities(None if flavour.gpu else gpu.compute_capability.replace(".", ""))
    except InputError as error:
        choices = str(error).partition(": ")[2]
        return f"the {gpu.name} has compute capability {gpu.compute_capability}, and {choices}"
    return None


def why_no_core() -> str | None:
    """Why libdpiqa runs no engine here, None where it does."""
    if reason := why_absent():
        return f"libdpiqa cannot be loaded ({reason})"
    from dpiqa.native import Model  # late: there may be none

    model = shipped_model(INT8_MODEL)
    try:
        Model(model, engine="tensorrt")
    except EngineError as error:  # it is no engine; which of the two reasons comes first says what the core is
        if "without TensorRT" in str(error):
            return str(error).removeprefix(f"{model}: ")
    return None

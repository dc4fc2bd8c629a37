"""The manifest `x.engine.json` beside an engine `x.engine`: what it was built from, with and for.

The native core reads it before it loads an engine, and refuses one built for another machine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dpiqa.export.tensorrt.api import FlavourName
from dpiqa.runtime.spec import ModelSpec

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BatchProfile(BaseModel):
    """The batch sizes that the engine takes; it is fastest at `opt`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: int = Field(ge=1)
    opt: int = Field(ge=1)
    max: int = Field(ge=1)


class Manifest(BaseModel):
    """One engine: the fields that the native core reads, and those of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_version: Literal[1] = 1
    onnx_sha256: Sha256
    flavour: FlavourName
    tensorrt_version: Annotated[str, Field(min_length=1)]
    precision: Literal["fp32", "fp16", "int8"]
    compute_capabilities: tuple[Annotated[str, Field(pattern=r"^\d+\.\d$")], ...]
    gpu: str | None = None
    profile: BatchProfile
    workspace_mb: int | None = None
    dla: int | None = None
    version_compatible: bool = False
    profile_sharing: bool = False
    calibration_sha256: Sha256 | None = None
    convolution_shares: dict[str, float] = Field(default_factory=dict)
    engine_sha256: Sha256
    rebuild: Annotated[str, Field(min_length=1)]
    contract: ModelSpec

    def request(self) -> str:
        """SHA-256 over all but the results of the build: equal for equal requests for the same machine."""
        fields = self.model_dump(mode="json", exclude=_RESULTS)
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


_RESULTS = {"engine_sha256", "convolution_shares", "rebuild", "calibration_sha256", "contract"}


def manifest_path(engine: Path) -> Path:
    """The path of an engine's manifest: `x.engine.json`."""
    return engine.with_name(engine.name + ".json")


def read_manifest(engine: Path) -> Manifest | None:
    """The manifest beside an engine; None when there is none, or it is not valid."""
    try:
        return Manifest.model_validate_json(manifest_path(engine).read_bytes())
    except (OSError, ValidationError):
        return None


def is_built(engine: Path, expected: Manifest) -> bool:
    """Whether `engine` exists, is undamaged, and was built from the same request as `expected`."""
    actual = read_manifest(engine)
    if actual is None or actual.request() != expected.request() or not engine.is_file():
        return False
    return sha256(engine) == actual.engine_sha256


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The model contract: the JSON document that every model file carries under the metadata key `dpiqa`.

Everything that a program must know to score a frame is here: the input size, the resize rule, the score scale, the
cause names in order. Training fills it in, export writes it, every runtime obeys it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dpiqa.errors import ContractError

METADATA_KEY = "dpiqa"
SPEC_VERSION = 1
MIN_SIDE, MAX_SIDE = 32, 4096  # of the input, in pixels
Text = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Section):
    """What the tensor `frames` must hold: uint8 `[N, height, width, 3]`, RGB, resized by `resize`."""

    height: int = Field(ge=MIN_SIDE, le=MAX_SIDE)
    width: int = Field(ge=MIN_SIDE, le=MAX_SIDE)
    resize: Literal["area"] = "area"


class ScoreSpec(_Section):
    """What the tensor `score` means: float32 `[N]` from 0 to 100, higher is better; no other range is read."""

    minimum: float = Field(default=0.0, ge=0, le=0)
    maximum: float = Field(default=100.0, ge=100, le=100)
    scale: Text


class TrainedOn(_Section):
    """A data set that the weights have seen."""

    name: Text
    split: Text
    images: int = Field(ge=1)
    licence: Text


class EvaluatedOn(_Section):
    """Figures on a data set that the weights have not seen (SRCC, PLCC: -1 to 1; RMSE: score points)."""

    name: Text
    split: Text
    images: int = Field(ge=2)
    srcc: float = Field(ge=-1, le=1)
    plcc: float = Field(ge=-1, le=1)
    rmse: float = Field(ge=0)


class ModelSpec(_Section):
    """The whole contract of one model file."""

    spec_version: Literal[1] = SPEC_VERSION
    name: Text
    version: Text
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    input: InputSpec
    score: ScoreSpec
    causes: tuple[Text, ...] = ()
    trained_on: tuple[TrainedOn, ...] = ()
    evaluated_on: tuple[EvaluatedOn, ...] = ()
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: Text

    @model_validator(mode="after")
    def _distinct_causes(self) -> ModelSpec:
        if len(set(self.causes)) != len(self.causes):
            raise ValueError("cause names must be distinct")
        return self

    def to_json(self) -> str:
        """The document as it is stored in the model file."""
        return self.model_dump_json()


def field_reason(error: ValidationError) -> str:
    """The first field that a document has wrong, what was expected there and what it holds, to end a message."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    actual = "" if first["type"] == "missing" else f", found {first['input']!r}"[:120]
    return f"field '{field}': {first['msg']}{actual}"


def parse_spec(document: str | bytes, file: str | Path) -> ModelSpec:
    """Read a contract; `file` names the model file in errors.

    Raises ContractError that names the file, the field and what was expected, also for a document without a
    `spec_version` or with that of a newer release.
    """
    try:
        raw: Any = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{file}: its contract (metadata key '{METADATA_KEY}') is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ContractError(f"{file}: its contract must be a JSON object, found {type(raw).__name__}")
    if "spec_version" not in raw:
        raise ContractError(f"{file}: contract field 'spec_version': Field required")
    version = raw["spec_version"]
    if isinstance(version, int) and version > SPEC_VERSION:
        raise ContractError(
            f"{file}: contract has spec version {version}, this release reads up to {SPEC_VERSION}: upgrade dpiqa-edge"
        )
    try:
        return ModelSpec.model_validate(raw)
    except ValidationError as error:
        raise ContractError(f"{file}: contract {field_reason(error)}") from None

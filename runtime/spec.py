"""The model contract: the JSON document that every model file carries under the metadata key `dpiqa`.

Everything that a program must know to score a frame is here: the input shapes, the resize rule, the score scale, the
cause names in order. Training fills it in, export writes it, every runtime obeys it.

Version 1 has one input shape. Version 2 has several; a frame gets the one whose aspect is nearest to its own.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from dpiqa.errors import ContractError

METADATA_KEY = "dpiqa"
SPEC_VERSION = 2  # the newest that is read
MAX_SHAPES, SHAPE_STEP = 16, 32
MIN_SIDE, MAX_SIDE = 32, 4096  # of the input, in pixels
Text = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Shape(_Section):
    """An input shape of version 2, in pixels."""

    height: int = Field(ge=MIN_SIDE, le=MAX_SIDE)
    width: int = Field(ge=MIN_SIDE, le=MAX_SIDE)


class InputSpec(_Section):
    """What the tensor `frames` must hold: uint8 `[N, height, width, 3]`, RGB, resized by `resize`.

    In version 2 `other_shapes` follow that first one: up to 15 of sides that are multiples of 32, no two of one aspect.
    """

    height: int = Field(ge=MIN_SIDE, le=MAX_SIDE)
    width: int = Field(ge=MIN_SIDE, le=MAX_SIDE)
    resize: Literal["area"] = "area"
    other_shapes: tuple[Shape, ...] = Field(default=(), min_length=1, max_length=MAX_SHAPES - 1)

    @field_validator("other_shapes")
    @classmethod
    def _usable(cls, others: tuple[Shape, ...], info: ValidationInfo) -> tuple[Shape, ...]:
        if not {"height", "width"} <= info.data.keys():
            return others
        aspects = set[Fraction]()
        for height, width in [(info.data["height"], info.data["width"]), *((one.height, one.width) for one in others)]:
            if height % SHAPE_STEP or width % SHAPE_STEP:
                raise ValueError(f"sides must be multiples of {SHAPE_STEP}, {height}x{width} is not")
            if Fraction(width, height) in aspects:
                raise ValueError(f"aspects must be distinct, that of {height}x{width} is not")
            aspects.add(Fraction(width, height))
        return others

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        if not self.other_shapes:
            del fields["other_shapes"]
        return fields

    @property
    def shapes(self) -> tuple[InputSpec, ...]:
        """All shapes in their order, each alone; of version 1 its one."""
        sizes = [(self.height, self.width), *((one.height, one.width) for one in self.other_shapes)]
        return tuple(InputSpec(height=height, width=width, resize=self.resize) for height, width in sizes)

    def nearest(self, height: int, width: int) -> InputSpec:
        """The shape for a frame of this size: the nearest aspect by logarithm, of equally near ones the first."""
        if not self.other_shapes:
            return self
        return min(self.shapes, key=lambda shape: _distortion(width * shape.height, height * shape.width))


def _distortion(a: int, b: int) -> Fraction:
    """The distance of two aspects, exact: the larger of their ratio and its inverse, which orders as logarithms do."""
    return Fraction(max(a, b), min(a, b))


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

    spec_version: Literal[1, 2] = 1
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

    @field_validator("input")
    @classmethod
    def _of_version(cls, value: InputSpec, info: ValidationInfo) -> InputSpec:
        version = info.data.get("spec_version", 1)
        if bool(value.other_shapes) != (version == 2):
            reason = "must list shapes in version 2" if version == 2 else "is of version 2, this is version 1"
            error = InitErrorDetails(
                type=PydanticCustomError("version", reason), loc=("other_shapes",), input=value.other_shapes
            )
            raise ValidationError.from_exception_data(cls.__name__, [error])
        return value

    @model_validator(mode="after")
    def _distinct_causes(self) -> ModelSpec:
        if len(set(self.causes)) != len(self.causes):
            raise ValueError("cause names must be distinct")
        return self

    def taking(self, frames: InputSpec) -> ModelSpec:
        """The same contract for other input, of the version that it needs."""
        return self.model_copy(update={"input": frames, "spec_version": 2 if frames.other_shapes else 1})

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

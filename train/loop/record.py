"""The run record: what is known of a training run, stored in its checkpoints and in `run.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec, field_reason
from dpiqa.train.data.terms import TrainingData
from dpiqa.train.loop.recipe import DistillationWeights, DistortionWeights

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Where files have another key than the field's name.
_KEYS = {
    "start_sha256": "begun",
    "distillation": "distilled_from",
    "images_per_epoch": "pictures_an_epoch",
    "distortions": "faults",
    "fraction": "share",
    "quantization": "quantized",
    "calibration_images": "calibrated_on",
    "file_names": "learned",
}


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, alias_generator=lambda name: _KEYS.get(name, name)
    )

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the keys that files use; what is None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StudentConfig(_Section):
    """The arguments of a Student."""

    arch: str
    hidden: int
    dropout: float
    causes: tuple[str, ...] | None = None
    map: bool | None = None
    fixed_norms: bool | None = None
    deviations: bool | None = None


class TeacherConfig(_Section):
    """The arguments of `build_teacher`; a diffusion prior also has the place and the digest of its frozen weights.

    `timestep` and `zero_adapter` only where they are not the defaults.
    """

    prior: str
    weights: str | None = None
    frozen_sha256: Sha256 | None = None
    size: int
    width: int
    timestep: int | None = None
    zero_adapter: bool | None = None


class PristineSource(_Section):
    """A folder of pristine photographs, or the best-rated training pictures, and how many images it gave."""

    name: str
    images: int


class Distortions(_Section):
    """Training on distorted pictures: their fraction of each batch, the weights of the losses and the sources."""

    fraction: float
    weights: DistortionWeights
    pristine: tuple[PristineSource, ...]


class Distillation(_Section):
    """Training from a teacher's cache: digests of the teacher and the index, and how the cache was used."""

    teacher: Sha256
    data: Sha256
    unlabelled: int
    weights: DistillationWeights
    images_per_epoch: int
    loss: str | None = None


class Average(_Section):
    """The mean of several students' weights: their digests, and the share of ImageNet's weights in the trunk."""

    members: tuple[Sha256, ...]
    imagenet: float


class Quantization(_Section):
    """Fine-tuning with fake quantizers; `file_names` are of all pictures that took part."""

    calibration_images: int
    percentile: float
    images: int
    feature_weight: float
    seed: int
    file_names: tuple[str, ...]


class RunRecord(_Section):
    """What is known of a run; a student's and a teacher's record each hold the configuration of that model.

    `start_sha256` is the digest of the model that the run started from, `frozen` names outputs that it left unchanged.
    With `offsets`, the scores may differ from the MOS of each collection by a constant that was learned beside them.
    """

    student: StudentConfig | None = None
    teacher: TeacherConfig | None = None
    input: InputSpec
    trained_on: tuple[TrainingData, ...]
    split_seed: int | None = None
    start_sha256: Sha256 | None = None
    frozen: tuple[str, ...] | None = None
    distillation: Distillation | None = None
    distortions: Distortions | None = None
    loss: str | None = None
    across_collections: bool | None = None
    offsets: bool | None = None
    average: Average | None = None
    quantization: Quantization | None = None

    def identity(self) -> dict[str, Any]:
        """What distinguishes this run from others, wherever the weights of its prior are stored."""
        fields = self.to_dict()
        if self.teacher:
            fields["teacher"].pop("weights", None)
        return fields


def parse_record(document: Any, file: Path) -> RunRecord:
    """Read a record from the dictionary in a checkpoint; `file` names the checkpoint in errors.

    Raises InputError that names the file, the field and what was expected.
    """
    if not isinstance(document, dict):
        raise InputError(f"{file}: its run record must be a dictionary, found {type(document).__name__}")
    try:
        return RunRecord.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{file}: run record {field_reason(error)}") from None

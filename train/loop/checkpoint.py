"""Checkpoints: all that is needed to resume a killed run exactly, and to rebuild the trained model."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.train.loop.record import RunRecord, parse_record

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Part(Protocol):
    """A model, an optimizer or a gradient scaler."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Any) -> Any: ...  # noqa: D102


DAMAGE = (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError)
_PROGRESS = ("epoch", "step", "loss_sum", "seconds", "history")


class Checkpoint(NamedTuple):
    """The run record and the averaged weights of a trained model."""

    record: RunRecord
    weights: dict[str, Tensor]


class State:
    """Everything that must survive a SIGKILL for the rest of the run to be the same."""

    def __init__(self, parts: Mapping[str, Part], recipe: DataclassInstance, record: RunRecord) -> None:
        self.parts = parts
        self.recipe, self.record = asdict(recipe), record
        self._defaults = {field.name: field.default for field in fields(recipe)}  # of what older files do not have
        self.epoch = self.step = 0
        self.loss_sum = self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def end_epoch(self, row: dict[str, float]) -> None:
        """Add an epoch's metrics and begin the next epoch."""
        self.history.append(row)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all; InputError where there is no room."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        progress = {name: getattr(self, name) for name in _PROGRESS}
        save_whole(parts | {"recipe": self.recipe, "about": self.record.to_dict()} | progress, path)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint; InputError if another recipe, model or data wrote it."""
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            recipe, document = self._defaults | checkpoint["recipe"], checkpoint["about"]
        except DAMAGE:
            raise InputError(f"{path}: damaged, remove it or choose another --out to start anew") from None
        if recipe != self.recipe or parse_record(document, path).identity() != self.record.identity():
            raise InputError(
                f"{path} was written with another recipe, model or data; choose another --out to start anew"
            )
        for name, part in self.parts.items():
            part.load_state_dict(checkpoint[name])
        for name in _PROGRESS:
            setattr(self, name, checkpoint[name])


def save_whole(contents: dict[str, Any], path: Path) -> None:
    """Write what PyTorch can pickle, whole or not at all; InputError where there is no room."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(contents, file)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be written, {str(reason).lower()}") from None


def load_checkpoint(checkpoint: Path, kind: Literal["student", "teacher"] | None = None) -> Checkpoint:
    """The run record of a trained model, and its averaged weights.

    Raises InputError for other files and, with `kind`, for other models.
    """
    try:
        contents = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        document, weights = contents["about"], contents["ema"]
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such file") from None
    except DAMAGE:
        raise InputError(f"{checkpoint}: not a checkpoint of a training run") from None
    if kind and isinstance(document, dict) and kind not in document:
        raise InputError(f"{checkpoint}: not a checkpoint of train.{kind}")
    return Checkpoint(parse_record(document, checkpoint), weights)


def state_sha256(model: nn.Module) -> str:
    """SHA-256 of a model's state by name, whichever file it came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

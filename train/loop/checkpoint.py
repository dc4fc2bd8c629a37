"""What a training run keeps on disk: enough to go on exactly where it was killed, and to rebuild the trained model."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from dpiqa.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Part(Protocol):
    """A model, an optimizer or a gradient scaler."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Any) -> Any: ...  # noqa: D102


DAMAGE = (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError)


class State:
    """Everything that must survive a SIGKILL for the rest of the run to be the same."""

    def __init__(self, parts: Mapping[str, Part], recipe: DataclassInstance, about: dict[str, Any]) -> None:
        self.parts = parts
        self.recipe, self.about = asdict(recipe), about
        self.epoch = self.step = 0
        self.loss_sum = self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def end_epoch(self, row: dict[str, float]) -> None:
        """Enter an epoch's figures and begin the next one."""
        self.history.append(row)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all; InputError where there is no room."""
        whole = {name: part.state_dict() for name, part in self.parts.items()}
        save_whole(whole | {name: value for name, value in vars(self).items() if name != "parts"}, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; InputError where another recipe, model or data wrote it."""
        try:
            whole = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            known = whole["recipe"], _without_places(whole["about"])
        except DAMAGE:
            raise InputError(f"{path}: damaged, remove it or choose another --out to start anew") from None
        for own, found in zip((self.recipe, _without_places(self.about)), known, strict=True):
            if own != found:
                raise InputError(
                    f"{path} was written with another recipe, model or data; choose another --out to start anew"
                )
        for name, part in self.parts.items():
            part.load_state_dict(whole[name])
        for name in ("epoch", "step", "loss_sum", "seconds", "history"):
            setattr(self, name, whole[name])


def save_whole(whole: dict[str, Any], path: Path) -> None:
    """Write what PyTorch can pickle, whole or not at all; InputError where there is no room."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(whole, file)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be written, {str(reason).lower()}") from None


def _without_places(about: dict[str, Any]) -> dict[str, Any]:
    """What tells a run from others, wherever the release of its prior lies."""
    return {
        name: {key: entry for key, entry in value.items() if key != "weights"} if name == "teacher" else value
        for name, value in about.items()
    }


def load_checkpoint(checkpoint: Path, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is written about a trained model, and its averaged weights.

    Raises InputError for other files and, with `kind` (student, teacher), for other models.
    """
    try:
        whole = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        about, weights = whole["about"], whole["ema"]
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such file") from None
    except DAMAGE:
        raise InputError(f"{checkpoint}: not a checkpoint of a training run") from None
    if kind and kind not in about:
        raise InputError(f"{checkpoint}: not a checkpoint of train.{kind}")
    return about, weights


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of a model's weights by name, whatever file they came from."""
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()

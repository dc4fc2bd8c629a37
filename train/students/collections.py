"""The student while it learns an offset of each collection beside its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dpiqa.train.loop.losses import quality_loss
from dpiqa.train.students.model import Student

OFFSETS = "offsets"
_SCALE = 100.0  # points for a parameter of one, so that an offset learns as fast as a head does


class CollectedStudent(Student):
    """A student with an offset of each collection, which is later discarded: raters differ, and so do their scales.

    A regression that adds the offset of a picture's collection to its score need not recognise the collection, which
    says nothing about pictures from elsewhere. Over all training pictures the offsets average to zero, so that the
    scores keep the scale of the MOS.
    """

    fractions: Tensor

    def __init__(self, student: Student, pictures: Sequence[int]) -> None:
        """Take over `student` with all its weights; `pictures`: the number of each collection."""
        super().__init__(**student.config)
        self.load_state_dict(student.state_dict())
        self.offsets = nn.Parameter(torch.zeros(len(pictures)))
        self.register_buffer("fractions", torch.tensor(pictures) / sum(pictures), persistent=False)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The student's outputs for uint8 RGB frames `[N, H, W, 3]`, and the offsets in points, `[N, collections]`."""
        offsets = _SCALE * (self.offsets - (self.fractions * self.offsets).sum())
        return *self.forward_heads(self.forward_features(frames)), offsets.expand(len(frames), -1)


def rating_loss(outputs: dict[str, Tensor], *targets: Tensor) -> Tensor:
    """The student's loss by MOS and, if known, collection; outputs by name, with or without offsets."""
    return quality_loss(outputs["score"], *targets, offsets=outputs.get(OFFSETS))


def by_name(names: tuple[str, ...], loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss on a tensor or a tuple of tensors, out of one on these outputs by name."""

    def of_columns(outputs: Tensor | tuple[Tensor, ...], *targets: Tensor) -> Tensor:
        columns = outputs if isinstance(outputs, tuple) else (outputs,)
        return loss(dict(zip(names, columns, strict=True)), *targets)

    return of_columns

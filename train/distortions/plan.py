"""The options of a training with made faults, and what they make of data, loss and validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import PRISTINE, Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.distortions.check import fault_figures
from dpiqa.train.distortions.kinds.base import CAUSES
from dpiqa.train.distortions.lessons import BEST_RATED, Ladder, Pristine, WithFaults, collect_pristine
from dpiqa.train.distortions.losses import MixedLoss
from dpiqa.train.distortions.options import FaultWeights


@dataclass(frozen=True)
class FaultPlan:
    """What a student learns from made faults: on which pictures, how much, and with which outputs."""

    share: float
    weights: FaultWeights
    pristine: Pristine

    @property
    def heads(self) -> dict[str, Any]:
        """The arguments of a Student that has the outputs to learn."""
        return {"causes": CAUSES if self.weights.causes else (), "map": self.weights.map > 0}

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint tells of it."""
        return {"faults": {"share": self.share, "weights": asdict(self.weights), "pristine": self.pristine.about}}

    @property
    def photographs(self) -> list[dict[str, Any]]:
        """The entries of `trained_on` for pictures that no rated set gave."""
        entries = (entry for entry in self.pristine.about if entry["name"] != BEST_RATED)
        return [entry | {"split": PRISTINE} for entry in entries]

    def lessons(self, base: RatedFrames) -> WithFaults:
        """The rated crops with faults beside them."""
        return WithFaults(base, self.pristine.train, self.share)

    def loss(self, names: tuple[str, ...], rated: Callable[..., Tensor]) -> MixedLoss:
        """See MixedLoss."""
        return MixedLoss(names, rated, self.weights)

    def check(self, names: tuple[str, ...], spec: InputSpec) -> Callable[[nn.Module], dict[str, float]]:
        """What adds the figures on held-out pictures to an epoch's row."""
        return partial(fault_figures, names=names, ladder=Ladder(self.pristine.val, spec))


def plan_faults(
    share: float, folders: list[Path] | None, least_mos: float, weights: FaultWeights, rated: list[Sample], seed: int
) -> FaultPlan | None:
    """The plan that options ask for, None without faults; InputError for options that contradict each other."""
    if not share:
        if folders:
            raise InputError("--pristine: no faults are made without a share of them, add for instance --faults 0.3")
        return None
    if weights == FaultWeights(0, 0, 0):
        raise InputError("every weight of the faults is 0, leave --faults out")
    return FaultPlan(share, weights, collect_pristine(folders or [], rated, least_mos, seed))

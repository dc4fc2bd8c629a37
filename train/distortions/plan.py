"""What the options of training on distorted pictures mean for data, loss and validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.runtime.spec import InputSpec
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.data.terms import PRISTINE, TrainingData
from dpiqa.train.distortions.frames import DistortedFrames, Ladder
from dpiqa.train.distortions.kinds.base import CAUSES
from dpiqa.train.distortions.losses import MixedLoss
from dpiqa.train.distortions.metrics import distortion_metrics
from dpiqa.train.distortions.pristine import BEST_RATED, Pristine, collect_pristine
from dpiqa.train.loop.recipe import DistortionWeights
from dpiqa.train.loop.record import Distortions


@dataclass(frozen=True)
class DistortionPlan:
    """What a student learns from distorted pictures: which ones, what fraction of a batch, and which outputs."""

    fraction: float
    weights: DistortionWeights
    pristine: Pristine

    @property
    def heads(self) -> dict[str, Any]:
        """The arguments of a Student that has the outputs to learn."""
        return {"causes": CAUSES if self.weights.causes else (), "map": self.weights.map > 0}

    @property
    def record(self) -> Distortions:
        """The plan as a section of the run record."""
        return Distortions(fraction=self.fraction, weights=self.weights, pristine=tuple(self.pristine.sources))

    @property
    def photographs(self) -> list[TrainingData]:
        """The entries of `trained_on` for pictures of no rated data set."""
        sources = (source for source in self.pristine.sources if source.name != BEST_RATED)
        return [TrainingData(name=source.name, split=PRISTINE, images=source.images) for source in sources]

    def frames(self, base: RatedFrames) -> DistortedFrames:
        """The rated crops with distorted pictures beside them."""
        return DistortedFrames(base, self.pristine.train, self.fraction)

    def loss(self, names: tuple[str, ...], rated: Callable[..., Tensor]) -> MixedLoss:
        """See MixedLoss."""
        return MixedLoss(names, rated, self.weights)

    def check(self, names: tuple[str, ...], spec: InputSpec) -> Callable[[nn.Module], dict[str, float]]:
        """A function that adds the metrics on held-out pictures to an epoch's row."""
        return partial(distortion_metrics, names=names, ladder=Ladder(self.pristine.val, spec))


def plan_distortions(
    fraction: float,
    folders: list[Path] | None,
    least_mos: float,
    weights: DistortionWeights,
    rated: list[Sample],
    seed: int,
) -> DistortionPlan | None:
    """The plan for these options, None without distortions; InputError for options that contradict each other."""
    if not fraction:
        if folders:
            raise InputError("--pristine: nothing is distorted without a fraction, add for instance --distortions 0.3")
        return None
    if weights == DistortionWeights(0, 0, 0):
        raise InputError("every weight of the distortions is 0, leave --distortions out")
    return DistortionPlan(fraction, weights, collect_pristine(folders or [], rated, least_mos, seed))

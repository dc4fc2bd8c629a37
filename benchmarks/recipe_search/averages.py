"""What costs no training: weights drawn back to ImageNet's, averaged over runs, and scores averaged over models."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .recipe import Recipe
from .results import ENSEMBLE, INTERPOLATED, SOUP, TRAINED
from .search import Key, Search, Work, names_of
from .trainer import Trainer, Waiting

_FOREACH: Any = torch  # its functions on lists of tensors have no types

_LOG = logging.getLogger(__name__)

ALPHAS = (0.7, 0.85, 0.5)
_LARGEST_FILE = 15 * 2**20


@dataclass(frozen=True)
class Average:
    """The mean of the trained weights of `members` (recipe, seed), its trunk `alpha` of the way from ImageNet's."""

    recipe: Recipe
    name: str
    members: tuple[tuple[str, str], ...]
    alpha: float = 1.0

    @property
    def kind(self) -> str:
        """What the table calls it."""
        return SOUP if len(self.members) > 1 else TRAINED if self.alpha == 1 else INTERPOLATED

    @property
    def seed(self) -> str:
        """The seed, or seeds."""
        return "+".join(dict.fromkeys(seed for _, seed in self.members))

    def keys(self, condition: str) -> list[Key]:
        """The jobs whose weights it takes."""
        return [(name, seed, condition) for name, seed in self.members]


def weights(search: Search, trainer: Trainer, average: Average, condition: str) -> list[Tensor]:
    """Its weights, before batch normalisation is estimated anew."""
    states = [search.states[key] for key in average.keys(condition)]
    weights = []
    for place, name in enumerate(names_of(trainer)):
        mean = torch.stack([state[place] for state in states]).mean(0)
        begun = trainer.start[place]
        weights.append(begun + average.alpha * (mean - begun) if name.startswith("trunk.") else mean)
    return weights


def measure(search: Search, averages: list[Average], deadline: float) -> Work:
    """Measure averages of networks of one shape, under every condition that their members were trained for."""

    def work(stream: object) -> Waiting:
        wanted = [
            (average, condition)
            for average in averages
            for condition in search.conditions
            if all(key in search.states for key in average.keys(condition))
            and not search.results.has(average.name, average.kind, average.seed, average.alpha, condition)
        ]
        if not wanted:
            return
        trainer = None
        for average, condition in wanted:
            if time.monotonic() > deadline:
                return
            began = time.monotonic()
            try:
                trainer = trainer or Trainer(average.recipe, search.store, search.how, search.weights, stream)
                yield from rebuild(search, trainer, average, condition)
                predictions: list[np.ndarray] = []
                yield from trainer.score(trainer.ema, search.measured(condition), predictions)
                agreement = search.agreement(predictions[0], condition)
                search.results.add(average.recipe, average.name, average.kind, average.seed, average.alpha, condition,
                                   seconds=round(time.monotonic() - began, 2), **agreement)  # fmt: skip
            except Exception as error:  # the others go on
                _LOG.warning("%s alpha %s %s: %s", average.name, average.alpha, condition, str(error)[:300])
                if search.how.is_cuda:
                    torch.cuda.synchronize()

    return work


def rebuild(search: Search, trainer: Trainer, average: Average, condition: str) -> Waiting:
    """Make `trainer.ema` the average, its batch normalisation estimated anew on training crops of the condition."""
    with trainer.how.on(trainer.stream), torch.no_grad():
        _FOREACH._foreach_copy_(trainer.kept, weights(search, trainer, average, condition))
    if average.kind != TRAINED:
        yield from trainer.norms_anew(trainer.ema, search.schedule(average.recipe, condition, 0))


def interpolated(recipe: Recipe, seed: str, alphas: tuple[float, ...] = ALPHAS) -> list[Average]:
    """A trained network on its way back to ImageNet's trunk."""
    return [Average(recipe, recipe.name, ((recipe.name, seed),), alpha) for alpha in alphas]


def soups(search: Search, recipes: list[Recipe]) -> list[list[Average]]:
    """Averages over the seeds of each recipe, and over the best few recipes of one shape; best first."""

    def seeds(recipe: Recipe) -> list[str]:
        seeds = [seed for name, seed, condition in search.states if name == recipe.name and condition == "full"]
        return sorted(set(seeds))

    groups: list[list[Average]] = []
    alike = [recipe for recipe in recipes if _shape(recipe) == _shape(recipes[0])] if recipes else []
    for count in (2, 3, 5):
        if len(alike) >= count:
            members = tuple((recipe.name, seed) for recipe in alike[:count] for seed in seeds(recipe)[:2])
            name = f"soup of {count}: " + " | ".join(sorted(recipe.name for recipe in alike[:count]))
            groups.append([Average(alike[0], name, members, alpha) for alpha in (1.0, 0.7)])
    for recipe in recipes:
        if len(own := seeds(recipe)) > 1:
            members = tuple((recipe.name, seed) for seed in own)
            groups.append([Average(recipe, recipe.name, members, alpha) for alpha in (1.0, 0.7, 0.85)])
    return groups


def ensembles(search: Search, recipes: list[Recipe]) -> None:
    """Rows for the mean score of all seeds of each recipe, and of the best few recipes, with seed 0."""
    sets: list[tuple[str, Recipe, list[tuple[str, str]]]] = []
    for recipe in recipes:
        seeds = sorted({seed for name, seed, _ in search.predictions if name == recipe.name})
        sets.append((recipe.name, recipe, [(recipe.name, seed) for seed in seeds]))
    for count in (2, 3, 5):
        if len(recipes) >= count:
            name = f"ensemble of {count}: " + " | ".join(sorted(recipe.name for recipe in recipes[:count]))
            sets.append((name, recipes[0], [(recipe.name, "0") for recipe in recipes[:count]]))
    for name, recipe, members in sets:
        seed = "+".join(dict.fromkeys(seed for _, seed in members))
        for condition in search.conditions:
            keys = [(*member, condition) for member in members]
            if len(keys) < 2 or not all(key in search.predictions for key in keys):
                continue
            if not search.results.has(name, ENSEMBLE, seed, 1.0, condition):
                mean = np.mean([search.predictions[key] for key in keys], axis=0)
                search.results.add(recipe, name, ENSEMBLE, seed, 1.0, condition, **search.agreement(mean, condition))


def write_best(search: Search, averages: list[Average], folder: Path, most: int = 4) -> list[Path]:
    """Write the weights, trained under `full`, of what did best where it never was: collections and FLIVE-VOC.

    FP32, or half where the file would be too large to bring back; what is too large even so is left out.
    """
    for old in folder.glob("best*.pt"):
        old.unlink()
    summary = search.results.summary()
    summary = summary[summary["loco"].notna()]
    both: Any = summary[["loco", "flive"]]
    merit = both.rank().sum(axis=1, skipna=False).to_numpy()
    order = summary.iloc[np.argsort(-merit, kind="stable")]
    known = {(a.name, a.kind, round(a.alpha, 4)): a for a in averages}
    written: list[Path] = []
    for name, kind, alpha in zip(order["recipe"], order["kind"], order["alpha"], strict=True):
        average = known.get((name, kind, round(float(alpha), 4)))
        if average is None or not all(key in search.states for key in average.keys("full")):
            continue
        trainer = Trainer(average.recipe, search.store, search.how, search.weights)
        for _ in rebuild(search, trainer, average, "full"):
            pass
        state = {key: value.cpu() for key, value in trainer.ema.state_dict().items()}
        size = sum(value.numel() * value.element_size() for value in state.values())
        if size > 2 * _LARGEST_FILE:
            continue
        if size > _LARGEST_FILE:
            state = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
        place = folder / f"best{len(written)}_{re.sub('[^A-Za-z0-9.]+', '-', f'{kind}-{alpha:g}-{name}')[:80]}.pt"
        torch.save({"name": name, "kind": kind, "alpha": alpha, "seed": average.seed, "members": average.members,
                    "recipe": asdict(average.recipe), "state": state}, place)  # fmt: skip
        written.append(place)
        if len(written) == most:
            break
    return written


def _shape(recipe: Recipe) -> tuple[str, str, int]:
    return recipe.arch, recipe.head, recipe.frame

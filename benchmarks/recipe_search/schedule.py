"""All that chance decides in one training job, drawn beforehand, so that the device needs nothing from its host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .losses import cosine
from .parts import Store
from .recipe import Recipe


class Variant(NamedTuple):
    """What has shapes or parts of its own in a step: the frames' side, the crop's, whether the trunk stays as it is."""

    frame: int
    crop: int
    frozen: bool


@dataclass
class Schedule:
    """A job's steps. `variants` has one entry a step, every array one row.

    `index`, `top`, `left`, `mirrored`, `partner` int64 `[S, B]`; `keep` float32 `[S, B]` (1: no style exchanged);
    `gain` float32 `[S, B, 3]`, `gamma` and `grey` float32 `[S, B]`; `lr` and `ema` float32 `[S]`, `ema` the share of
    what is new.
    """

    variants: list[Variant]
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.variants)


def variants_of(recipe: Recipe) -> list[Variant]:
    """Every variant that a recipe may need, with the trunk that learns first."""
    crops = [Variant(side, min(recipe.crop, side), False) for side in recipe.sizes or (recipe.frame,)]
    whole = [Variant(recipe.frame, recipe.frame, False)] if recipe.whole else []
    frozen = [variant._replace(frozen=True) for variant in crops] if recipe.frozen else []
    return list(dict.fromkeys([*crops, *whole, *frozen]))


def draw(recipe: Recipe, store: Store, trained: np.ndarray, seed: int, most: int | None = None) -> Schedule:
    """A job's schedule; `most`: at most so many steps, as for a quick try."""
    rng = np.random.default_rng(seed)
    batch = min(recipe.batch, len(trained))
    steps = max(2, round(recipe.epochs * (len(trained) // batch)))
    steps = min(steps, most) if most else steps
    index = _sample(recipe, store, trained, steps, batch, rng)
    done = np.arange(steps) / steps
    sides = rng.choice(recipe.sizes or (recipe.frame,), steps)
    variants = []
    for step in range(steps):
        if recipe.whole and done[step] >= 1 - recipe.whole:
            variants.append(Variant(recipe.frame, recipe.frame, False))
        else:
            side = int(sides[step])
            variants.append(Variant(side, min(recipe.crop, side), bool(done[step] < recipe.frozen)))
    room = np.array([variant.frame - variant.crop + 1 for variant in variants])[:, None]
    shape = (steps, batch)
    arrays = {
        "index": index,
        "top": np.floor(rng.random(shape) * room).astype(np.int64),
        "left": np.floor(rng.random(shape) * room).astype(np.int64),
        "mirrored": rng.integers(0, 2, shape),
        "lr": np.array([recipe.lr * cosine(share, recipe.warmup) for share in done], np.float32),
        "ema": np.array([1 - min(recipe.ema, (1 + step) / (10 + step)) for step in range(steps)], np.float32),
    }
    if recipe.mixstyle:
        partner, differs = _partners(store.collections_here[index], rng)
        exchanged = differs & (rng.random((steps, 1)) < recipe.mixstyle)
        arrays["partner"] = partner
        arrays["keep"] = np.where(exchanged, rng.beta(0.1, 0.1, shape), 1).astype(np.float32)
    if recipe.tone or recipe.grey:
        together, each = rng.normal(0, 0.06, (*shape, 1)), rng.normal(0, 0.05, (*shape, 3))
        arrays["gain"] = np.exp(recipe.tone * (together + each).clip(-0.3, 0.3)).astype(np.float32)
        arrays["gamma"] = np.exp(recipe.tone * rng.normal(0, 0.12, shape).clip(-0.3, 0.3)).astype(np.float32)
        arrays["grey"] = (rng.random(shape) < recipe.grey).astype(np.float32)
    return Schedule(variants, arrays)


def _sample(
    recipe: Recipe, store: Store, trained: np.ndarray, steps: int, batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices `[steps, batch]`: all in random order, epoch by epoch, or as many of each cell of a division."""
    if recipe.sampling == "plain":
        a_pass = len(trained) // batch
        epochs = [rng.permutation(trained)[: a_pass * batch] for _ in range(-(-steps // a_pass))]
        return np.concatenate(epochs)[: steps * batch].reshape(steps, batch)
    if recipe.sampling not in ("collection", "collection_mos"):
        raise ValueError(f"unknown sampling '{recipe.sampling}'")
    cells = [trained[store.collections_here[trained] == n] for n in np.unique(store.collections_here[trained])]
    if recipe.sampling == "collection_mos":
        cells = [part for cell in cells for part in np.array_split(cell[np.argsort(store.mos_here[cell])], 3)]
    cells = [cell for cell in cells if len(cell)]
    places = np.arange(steps * batch) % len(cells)
    chosen = np.empty(steps * batch, np.int64)
    for number, cell in enumerate(cells):
        wanted = int((places == number).sum())
        passes = [rng.permutation(cell) for _ in range(-(-wanted // len(cell)))]
        chosen[places == number] = np.concatenate(passes)[:wanted]
    return chosen.reshape(steps, batch)


def _partners(collections: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """For each place of each batch one of another collection, and whether there is any, int64 and bool `[S, B]`."""
    order = rng.random((*collections.shape, collections.shape[1]))
    differs = collections[:, :, None] != collections[:, None, :]
    partner = np.where(differs, order, -1.0).argmax(2)
    return partner, differs.any(2)

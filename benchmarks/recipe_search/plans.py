"""What is run in which order, and how the time is shared out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from .averages import ALPHAS, Average, ensembles, interpolated, measure, soups, write_best
from .recipe import BASE, Recipe, combine, from_dict, larger, smoke, stage1
from .results import TRAINED
from .search import Search, Work

_LOG = logging.getLogger(__name__)
PLANS = ("smoke", "stage1", "stage2")


def recipes_of(plans: list[str]) -> list[Recipe]:
    """Every recipe that is known beforehand to belong to the plans; a JSON file lists recipes by their fields."""
    recipes: list[Recipe] = []
    for plan in plans:
        if plan == "smoke":
            recipes += smoke()
        elif plan == "stage1":
            recipes += stage1()
        elif plan.endswith(".json"):
            recipes += [from_dict(entry) for entry in json.loads(Path(plan).read_text())]
        elif plan != "stage2":
            raise ValueError(f"unknown plan '{plan}', expected one of {', '.join(PLANS)} or a .json file")
    if "stage2" in plans:
        recipes += [recipe for recipe in stage1() if recipe not in recipes]
        recipes += larger(Recipe())
    return recipes


def carry_out(search: Search, plans: list[str], seeds: int, began: float, deadline: float, out: Path) -> None:
    """Run the plans one after the other until the deadline (on the monotonic clock), then write the best weights."""
    span = deadline - began
    at = [0.55, 0.62, 0.84, 0.93] if "stage2" in plans and len(plans) > 1 else [0.8, 0.93, 0.8, 0.93]
    trained, averaged, more, last = (began + share * span for share in at)
    search.ends = began + 0.96 * span
    first = [plan for plan in plans if plan != "stage2"]
    if first:
        _train(search, _by_seed(search, recipes_of(first), seeds), trained)
        _progress(search, began, "variations trained")
        ensembles(search, search.results.ranked())
        _average(search, averaged)
        _progress(search, began, "averages measured")
    if "stage2" in plans:
        _restore(search)
        better = search.results.better()
        if not better:
            _LOG.warning("nothing beats the base by more than the spread; the best few are combined all the same")
            better = [recipe for recipe in search.results.ranked() if recipe.name != BASE][:4]
        joined = combine(better)
        _LOG.warning("combined: %s", ", ".join(recipe.name for recipe in joined) or "nothing")
        candidates = [*joined, *better[:1], Recipe()]
        enough = began + (at[1] + 0.65 * (at[2] - at[1])) * span if first else began + 0.55 * span
        _train(search, ((recipe, [seed]) for seed in range(max(seeds, 3)) for recipe in candidates), enough)
        _progress(search, began, "combinations trained")
        ranked = [recipe for recipe in search.results.ranked() if recipe.arch == Recipe.arch]
        if ranked:
            _train(search, ((recipe, [0]) for recipe in larger(ranked[0])), more)
            _progress(search, began, "larger networks trained")
        ensembles(search, search.results.ranked())
        _average(search, last)
        _progress(search, began, "averages measured")
    for path in write_best(search, [average for group in _averages(search) for average in group], out):
        _LOG.warning("written: %s", path)
    _progress(search, began, "done")


def _by_seed(search: Search, recipes: list[Recipe], seeds: int) -> Iterator[tuple[Recipe, list[int]]]:
    """All recipes with the first seed (the base with all), then with the others, best first by then."""
    for recipe in recipes:
        yield recipe, list(range(max(seeds, 3))) if recipe.name == BASE and len(recipes) > 3 else [0]
    for seed in range(1, seeds):
        wanted = {recipe.name: recipe for recipe in recipes if recipe.name != BASE}
        best_first = [recipe.name for recipe in search.results.ranked()]
        for name in [*best_first, *(name for name in wanted if name not in best_first)]:
            if name in wanted:
                yield wanted.pop(name), [seed]


def _train(search: Search, jobs: Iterator[tuple[Recipe, list[int]]], deadline: float) -> None:
    def queue() -> Work | None:
        job = next(jobs, None)
        return search.train(*job, deadline) if job else None

    search.drive(queue, deadline)


def _averages(search: Search) -> list[list[Average]]:
    """All averages by network, most promising first."""
    ranked = search.results.ranked()
    groups = soups(search, ranked)
    for recipe in sorted(ranked, key=lambda recipe: recipe.name != BASE):  # the base as a control
        seeds = sorted({seed for name, seed, _ in search.states if name == recipe.name})
        groups += [interpolated(recipe, seed, ALPHAS) for seed in seeds[:1]]
    alone = [[Average(recipe, recipe.name, ((recipe.name, "0"),))] for recipe in ranked]
    return [*groups, *alone]


def _average(search: Search, deadline: float) -> None:
    waiting = iter(_averages(search))

    def queue() -> Work | None:
        group = next(waiting, None)
        return measure(search, group, deadline) if group else None

    search.drive(queue, deadline)


def _restore(search: Search) -> None:
    """Take up what an earlier run kept in its folder."""
    for row in search.results.rows:
        if row["kind"] == TRAINED and row["status"] == "ok":
            search.restore((str(row["recipe"]), str(row["seed"]), str(row["condition"])))


def _progress(search: Search, began: float, what: str) -> None:
    seconds = time.monotonic() - began
    _LOG.warning("%.0f s: %s; %d rows, %d images, %.0f images/s over all", seconds, what, len(search.results.rows),
                 search.images, search.images / max(seconds, 1e-9))  # fmt: skip

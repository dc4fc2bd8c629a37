"""Runs jobs side by side on one device, within a budget, and writes down what each one found."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpiqa.train.loop.metrics import plcc, srcc

from .parts import Store
from .recipe import CONDITIONS, Recipe
from .results import TRAINED, Results
from .schedule import Schedule, draw
from .trainer import Device, Trainer, Waiting, floats

_LOG = logging.getLogger(__name__)

Key = tuple[str, str, str]  # recipe, seed, condition
Work = Callable[[Any], Waiting]  # given a stream


@dataclass
class Search:
    """What all jobs share: pictures, device, table, what was learned and what it said.

    `states` holds a job's averaged weights (as `floats` gives them), `said` its scores of what `measured` names.
    """

    store: Store
    how: Device
    results: Results
    weights: dict[str, dict[str, Tensor]]
    side_by_side: int = 1
    most_steps: int | None = None
    folder: Path | None = None
    states: dict[Key, list[Tensor]] = field(default_factory=dict)
    predictions: dict[Key, np.ndarray] = field(default_factory=dict)
    images: int = 0
    ends: float = math.inf  # when even a job under way is given up

    def __post_init__(self) -> None:
        self.streams: list[Any] = [
            torch.cuda.Stream(self.how.device) if self.how.is_cuda else None for _ in range(self.side_by_side)
        ]
        self.places = {condition: self.store.divide(condition) for condition in CONDITIONS}
        self.conditions = [name for name in CONDITIONS if min(map(len, self.places[name])) > 3]

    def schedule(self, recipe: Recipe, condition: str, seed: int) -> Schedule:
        """A job's schedule."""
        return draw(recipe, self.store, self.places[condition][0], seed, self.most_steps)

    def measured(self, condition: str) -> np.ndarray:
        """Indices of what a job is measured on."""
        own = self.places[condition][1]
        return np.concatenate([own, self.store.abroad()]) if condition == "full" else own

    def drive(self, queue: Callable[[], Work | None], deadline: float) -> None:
        """Run work from a queue, as much at a time as there are streams, until it ends or no more may begin."""
        free, active = list(self.streams), []
        while True:
            while free and time.monotonic() < deadline and (work := queue()):
                stream = free.pop()
                active.append([work(stream), None, stream])
            if not active:
                return
            moved = False
            for entry in list(active):
                if entry[1] is not None and not entry[1].query():
                    continue
                moved = True
                try:
                    entry[1] = next(entry[0])
                except StopIteration:
                    active.remove(entry)
                    free.append(entry[2])
            if not moved:
                time.sleep(0.0005)

    def train(self, recipe: Recipe, seeds: list[int], deadline: float) -> Work:
        """All jobs of a recipe with these seeds, one after the other on one stream."""

        def work(stream: Any) -> Waiting:
            wanted = [
                (seed, condition)
                for seed in seeds
                for condition in self.conditions
                if not self.results.has(recipe.name, TRAINED, str(seed), 1.0, condition)
                or not self.restore((recipe.name, str(seed), condition))
            ]
            if not wanted:
                return
            try:
                trainer = Trainer(recipe, self.store, self.how, self.weights, stream)
                longest = max(len(self.schedule(recipe, condition, 0)) for condition in self.conditions)
                trainer.prepare(self.schedule(recipe, wanted[0][1], wanted[0][0]), longest)
            except Exception as error:  # the others go on
                for seed, condition in wanted:
                    self._fail(recipe, seed, condition, error)
                return
            yield None
            for seed, condition in wanted:
                if time.monotonic() > deadline:
                    _LOG.warning("%s seed %d %s: not started, the time is over", recipe.name, seed, condition)
                    return
                try:
                    yield from self._job(trainer, seed, condition)
                except Exception as error:  # the others go on
                    self._fail(recipe, seed, condition, error)

        return work

    def _job(self, trainer: Trainer, seed: int, condition: str) -> Waiting:
        recipe, began = trainer.recipe, time.monotonic()
        schedule = self.schedule(recipe, condition, seed)
        for waiting in trainer.run(schedule, seed):
            if time.monotonic() > self.ends:
                raise TimeoutError("no time was left to finish")
            yield waiting
        seconds = time.monotonic() - began
        scores: list[np.ndarray] = []
        yield from trainer.score(trainer.ema, self.measured(condition), scores)
        key = (recipe.name, str(seed), condition)
        with self.how.on(trainer.stream):
            state = [value.clone() for value in trainer.kept]
            loss = float(trainer.loss)
        if not np.isfinite(scores[0]).all():
            raise ArithmeticError("scores are not finite")
        images = len(schedule) * schedule.arrays["index"].shape[1]
        self.images += images
        self.states[key], self.predictions[key] = state, scores[0]
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            document = {"state": [value.cpu() for value in state], "said": torch.from_numpy(scores[0])}
            torch.save(document, self._file(key))
        if not self.results.has(recipe.name, TRAINED, str(seed), 1.0, condition):
            agreement = self.agreement(scores[0], condition)
            metrics = {"loss": loss, "steps": len(schedule), "images": images, "seconds": round(seconds, 2)}
            metrics |= {"captured": len(trainer.graphs)} | agreement
            self.results.add(recipe, recipe.name, TRAINED, str(seed), 1.0, condition, **metrics)
            _LOG.warning("%s %d %s %.3f %s %.0fs", recipe.name, seed, condition, agreement["srcc"],
                         f"flive {agreement['flive_srcc']:.3f}" if "flive_srcc" in agreement else "",
                         seconds)  # fmt: skip

    def agreement(self, scores: np.ndarray, condition: str) -> dict[str, float]:
        """SRCC and PLCC of scores of what `measured` names."""
        own = self.places[condition][1]
        mos = self.store.mos_here
        metrics = {"srcc": srcc(scores[: len(own)], mos[own]), "plcc": plcc(scores[: len(own)], mos[own])}
        if condition != "full":
            return metrics
        for number, name in enumerate(self.store.names):
            here = np.flatnonzero(self.store.collections_here[own] == number)
            if len(here) > 2:
                metrics[f"srcc_{name}"] = srcc(scores[here], mos[own[here]])
        abroad, there = self.store.abroad(), scores[len(own) :]
        if len(abroad) > 2:
            metrics |= {"flive_srcc": srcc(there, mos[abroad]), "flive_plcc": plcc(there, mos[abroad])}
        return metrics

    def restore(self, key: Key) -> bool:
        """Whether what a job learned is at hand, from this run or from an earlier one's folder."""
        if key in self.states or self.folder is None:
            return True  # a row without its weights still counts; averages do without it
        if not self._file(key).exists():
            return False
        kept = torch.load(self._file(key), map_location=self.how.device, weights_only=True)
        self.states[key], self.predictions[key] = kept["state"], kept["said"].cpu().numpy()
        return True

    def _file(self, key: Key) -> Path:
        name = "_".join(key).replace(":", "-").replace("/", "-")
        return (self.folder or Path()) / f"{name}.pt"

    def _fail(self, recipe: Recipe, seed: int, condition: str, error: Exception) -> None:
        reason = f"failed: {type(error).__name__}: {error}".replace("\n", " ")[:300]
        _LOG.warning("%s seed %d %s %s", recipe.name, seed, condition, reason)
        self.results.add(recipe, recipe.name, TRAINED, str(seed), 1.0, condition, status=reason)
        if self.how.is_cuda:
            torch.cuda.synchronize()  # an error that stays ends the search here; the same command goes on with the rest


def fastest(store: Store, weights: dict[str, dict[str, Tensor]], how: Device, steps: int = 40) -> Device:
    """The faster of channels first and last, with and without cuDNN's own measuring, on the base recipe."""
    times_s: dict[tuple[bool, bool], float] = {}
    schedule = draw(Recipe(), store, store.divide("full")[0], 0, steps)
    for channels_last, benchmark in ((True, False), (True, True), (False, False), (False, True)):
        try:
            stream = torch.cuda.Stream(how.device)
            tried = Trainer(
                Recipe(), store, replace(how, channels_last=channels_last, benchmark=benchmark), weights, stream
            )
            tried.prepare(schedule, len(schedule))
            for _ in tried.run(schedule, 0):
                pass
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in tried.run(schedule, 0):
                pass
            torch.cuda.synchronize()
            times_s[channels_last, benchmark] = time.perf_counter() - began
        except Exception as error:  # the others may do
            _LOG.warning("channels_last=%s benchmark=%s: %s", channels_last, benchmark, str(error)[:300])
            continue
        speed = schedule.arrays["index"].size / times_s[channels_last, benchmark]
        _LOG.warning("channels_last=%s benchmark=%s captured=%d: %.0f images/s alone", channels_last, benchmark,
                     len(tried.graphs), speed)  # fmt: skip
    if not times_s:
        return how
    channels_last, benchmark = min(times_s, key=lambda key: times_s[key])
    return replace(how, channels_last=channels_last, benchmark=benchmark)


def names_of(trainer: Trainer) -> list[str]:
    """The names of what `floats` gives."""
    return [name for name, value in trainer.ema.state_dict().items() if value.is_floating_point()]


def clones(trainer: Trainer) -> list[Tensor]:
    """A copy of the averaged weights."""
    return [value.clone() for value in floats(trainer.ema)]

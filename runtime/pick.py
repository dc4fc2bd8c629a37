"""The best of each burst: pictures of one scene are grouped, and the best of every group is named with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pydantic import BaseModel, ConfigDict

from dpiqa.errors import InputError
from dpiqa.runtime.in_order import in_order
from dpiqa.runtime.perceptual_hash import Print, differing_bits, perceptual_hash
from dpiqa.runtime.reading import Reading, Rounded, Source
from dpiqa.runtime.scorer import Scorer
from dpiqa.runtime.sources import PassedOver, expand
from dpiqa.runtime.text import visible

MAX_DISTANCE, MIN_CORRELATION = 14, 0.8  # looser than for duplicates: hands shake, and exposure changes
STABLE_POINTS = 1.9  # by which a still scene's score moves between frames (`dpiqa train order`, on the models' cards)
_TELLING = 0.1  # by which a cause must differ to be the reason


class Pick(BaseModel):
    """A group of pictures of one scene: the best, its score and reason, and the others from good to bad.

    `is_clear` says that it is ahead of the next by more than the score of a still scene moves.
    """

    model_config = ConfigDict(frozen=True)

    best: Source
    score: Rounded
    is_clear: bool
    reason: str
    others: tuple[Source, ...] = ()

    def text(self) -> str:
        """A line for the best, and an indented one for each of the others."""
        lines = [f"{self.score:5.1f}  {visible(self.best)}  ({self.reason})"]
        return "\n".join(lines + [f"       {visible(other)}" for other in self.others])


@dataclass(frozen=True)
class Shot:
    """A picture's reading and its perceptual hash."""

    reading: Reading
    print: Print


def shots(scorer: Scorer, names: Sequence[str], reasons: list[str]) -> Iterator[Shot]:
    """Score and hash the pictures that names stand for, in order; why others cannot be read goes into `reasons`."""

    def shot(file: str) -> Shot:
        explanation = scorer.explain(file)
        return Shot(explanation.reading, perceptual_hash(explanation.pixels))

    for future in in_order((partial(shot, file) for file in _files(names, reasons)), scorer.jobs):
        try:
            yield future.result()
        except InputError as error:
            reasons.append(str(error))


def _files(names: Sequence[str], reasons: list[str]) -> Iterator[str]:
    for name in names:
        passed_over = PassedOver()
        try:
            yield from expand(name, passed_over)
        except InputError as error:
            reasons.append(str(error))
        reasons.extend(map(str, passed_over.unreadable))


def picks(taken: Sequence[Shot]) -> list[Pick]:
    """The best of every group of shots of one scene, in the order of the first shot of each."""
    return [_pick([taken[place].reading for place in group]) for group in _groups([shot.print for shot in taken])]


def _groups(prints: Sequence[Print]) -> list[list[int]]:
    group_of = list(range(len(prints)))  # the first place of a place's group
    hashes = np.array([each.hash for each in prints], np.uint64)
    for place, own in enumerate(prints):
        for other in np.flatnonzero(differing_bits(hashes[:place] ^ own.hash) <= MAX_DISTANCE) if place else ():
            if float(own.thumb @ prints[int(other)].thumb) >= MIN_CORRELATION:
                joined, kept = group_of[place], group_of[int(other)]
                group_of = [kept if group == joined else group for group in group_of]
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(group_of):
        groups.setdefault(group, []).append(place)
    return list(groups.values())


def _pick(readings: Sequence[Reading]) -> Pick:
    best, *others = sorted(readings, key=lambda reading: -reading.score)
    lead = best.score - others[0].score if others else 0.0
    is_clear = not others or lead > STABLE_POINTS
    return Pick(
        best=best.source,
        score=best.score,
        is_clear=is_clear,
        reason=_reason(best, others, lead, is_clear),
        others=tuple(reading.source for reading in others),
    )


def _reason(best: Reading, others: Sequence[Reading], lead: float, is_clear: bool) -> str:
    if not others:
        return "the only one"
    if not is_clear:
        return f"no clear best: only {lead:.1f} points ahead of the next"
    next_best = others[0]
    if next_best.void:
        return f"the next shows nothing ({next_best.void})"
    gains = {name: strength - best.causes.get(name, 0.0) for name, strength in next_best.causes.items()}
    name = max(gains, key=lambda cause: gains[cause], default="")
    less = f", less {name.replace('_', ' ')}" if gains.get(name, 0.0) >= _TELLING else ""
    return f"{lead:.1f} points ahead of the next{less}"

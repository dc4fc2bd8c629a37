"""Division of data sets into training, validation and test parts. Groups are never divided."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dpiqa.errors import InputError
from dpiqa.train.data.datasets import Sample, check_pictures, load, parse_source
from dpiqa.train.data.options import AUTO
from dpiqa.train.data.terms import TrainingData

VAL_FRACTION = 0.1


@dataclass
class Split:
    """The three parts of one or more data sets; `dropped` counts training pictures that resemble a test picture."""

    train: list[Sample] = field(default_factory=list)
    val: list[Sample] = field(default_factory=list)
    test: list[Sample] = field(default_factory=list)
    dropped: int = 0

    def __str__(self) -> str:
        return (
            f"train {len(self.train)}  val {len(self.val)}  held out {len(self.test)}  "
            f"dropped as near-duplicates {self.dropped}"
        )


def load_parts(data: list[str], how: str, seed: int) -> tuple[Split, list[TrainingData]]:
    """Read, divide and join the data sets `NAME=PATH`; also the entries for the run record.

    Every picture of training and validation is decoded once. Raises InputError for broken pictures and for parts of
    fewer than four.
    """
    parts, trained_on = [], []
    for name, path in [parse_source(text) for text in data]:
        samples = load(name, path)
        division = resolve(how, samples)
        part = split(samples, division, seed)
        check_pictures(name, part.train + part.val, progress=True)
        parts.append(part)
        trained_on.append(TrainingData(name=name, split=division, images=len(part.train)))
    whole = merge(parts)
    if min(len(whole.train), len(whole.val)) < 4:
        raise InputError(f"too few pictures: training and validation need at least four each, here {whole}")
    return whole, trained_on


def resolve(how: str, samples: list[Sample]) -> str:
    """What `auto` means for a data set: `official` where its authors (or its table) divided it, else `grouped`."""
    if how != AUTO:
        return how
    return "official" if any(sample.official in ("val", "test") for sample in samples) else "grouped"


def may_be_known(divisions: Iterable[str], tested: str) -> bool:
    """Whether a model trained on these divisions of a data set may have seen pictures of the `tested` part.

    `tested` is `all`, or a division whose test part is meant.
    """

    def spares(trained: str) -> bool:
        keeps_official_test = trained in ("official", "grouped") or trained.startswith("leave:")
        return tested == trained or (tested == "official" and keeps_official_test)

    return not all(spares(trained) for trained in divisions)


def split(samples: list[Sample], how: str, seed: int = 0) -> Split:
    """Divide a data set: `official`, `grouped`, `ratio:K` or `leave:SUBSET`.

    - `official`: the authors' parts (or column `split`), without training pictures in the group of a test picture;
      if the authors have no validation part, a tenth of the remaining groups is drawn for it.
    - `grouped`: the same without the authors' parts: no test part, a tenth of the groups for validation.
    - `ratio:K`: the K-th (0 to 9) of ten seeded 80/20 divisions by group, the field's protocol for small sets.
    - `leave:SUBSET`: as official, but the validation part is one whole subset that is not trained on, to see how a
      recipe does on pictures from elsewhere.
    """
    if how in ("grouped", "official"):
        if how == "official" and not any(sample.official in ("val", "test") for sample in samples):
            raise InputError("this data set has no official test part, use the split 'grouped' or 'ratio:K'")
        test = [sample for sample in samples if sample.official == "test"]
        return _with_validation([sample for sample in samples if sample.official != "test"], test, seed)
    kind, _, number = how.partition(":")
    if kind == "leave":
        return _leave(samples, subset=number)
    if kind == "ratio" and number.isdigit() and int(number) < 10:
        rest, test = _draw(samples, 0.2, seed=1000 + int(number))
        return _with_validation(rest, test, seed)
    raise InputError(f"unknown split '{how}', expected official, grouped, ratio:K with K from 0 to 9 or leave:SUBSET")


def merge(splits: Iterable[Split]) -> Split:
    """Join the splits of several data sets part by part."""
    whole = Split()
    for part in splits:
        whole.train += part.train
        whole.val += part.val
        whole.test += part.test
        whole.dropped += part.dropped
    return whole


def _with_validation(rest: list[Sample], test: list[Sample], seed: int) -> Split:
    tested = {sample.group for sample in test}
    allowed = [sample for sample in rest if sample.group not in tested]
    val = [sample for sample in allowed if sample.official == "val"]
    if val:
        chosen = {sample.group for sample in val}
        train = [sample for sample in allowed if sample.official != "val" and sample.group not in chosen]
    else:
        train, val = _draw(allowed, VAL_FRACTION, seed)
    return Split(train, val, test, dropped=len(rest) - len(train) - len(val))


def _leave(samples: list[Sample], subset: str) -> Split:
    test = [sample for sample in samples if sample.official == "test"]
    tested = {sample.group for sample in test}
    rest = [sample for sample in samples if sample.official != "test" and sample.group not in tested]
    val = [sample for sample in rest if sample.subset == subset]
    if not val:
        names = ", ".join(sorted({sample.subset for sample in samples if sample.subset})) or "none"
        raise InputError(f"this data set has no subset '{subset}', its subsets: {names}")
    left = {sample.group for sample in val}
    train = [sample for sample in rest if sample.group not in left]
    return Split(train, val, test, dropped=len(samples) - len(test) - len(val) - len(train))


def _draw(samples: list[Sample], fraction: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Draw groups at random until they hold `fraction` of the pictures; return the other pictures, then these."""
    groups = sorted({sample.group for sample in samples})
    random.Random(seed).shuffle(groups)
    sizes = Counter(sample.group for sample in samples)
    chosen: set[str] = set()
    count = 0
    for group in groups:
        if count >= fraction * len(samples):
            break
        chosen.add(group)
        count += sizes[group]
    return [s for s in samples if s.group not in chosen], [s for s in samples if s.group in chosen]

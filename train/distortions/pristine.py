"""Pristine photographs to distort: from folders, and the best-rated training pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpiqa.errors import InputError
from dpiqa.train.data.datasets import Sample, check_pictures, load_unlabelled
from dpiqa.train.loop.record import PristineSource

BEST_RATED = "best rated"
VAL_FRACTION = 0.1


@dataclass(frozen=True)
class Pristine:
    """Pristine photographs: to learn from, by source, and held out for validation; `sources` describes the former."""

    train: list[list[Path]]
    val: list[Path]
    sources: list[PristineSource]


def collect_pristine(folders: list[Path], rated: list[Sample], least_mos: float, seed: int) -> Pristine:
    """The pictures of all folders, and the rated training pictures of at least `least_mos`; a tenth of each held out.

    Near-duplicate groups are never divided. A rated picture that is held out here is still trained on undistorted.
    Raises InputError for broken pictures, for two folders of one name and if no picture can be held out.
    """
    names = [folder.resolve().name for folder in folders]
    if BEST_RATED in names:
        raise InputError(f"--pristine: a folder called '{BEST_RATED}' would be mistaken for the best-rated pictures")
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise InputError(f"--pristine: two folders are called '{min(duplicates)}', rename one of them")
    sources = {name: load_unlabelled(folder, "--pristine") for name, folder in zip(names, folders, strict=True)}
    for name, samples in sources.items():
        check_pictures(name, samples, progress=True)
    sources[BEST_RATED] = [sample for sample in rated if sample.mos >= least_mos]
    parts, held_out = {}, []
    for name, samples in sources.items():
        groups = sorted({sample.group for sample in samples})
        chosen = np.random.default_rng(seed).permutation(len(groups))[: round(VAL_FRACTION * len(groups))]
        val_groups = {groups[place] for place in chosen}
        held_out += [sample.path for sample in samples if sample.group in val_groups]
        parts[name] = [sample.path for sample in samples if sample.group not in val_groups]
    if not held_out:
        raise InputError("too few pristine pictures: at least six in a folder, or rated --pristine-mos or more")
    rng = np.random.default_rng(seed)
    parts = {name: part for name, part in parts.items() if part}
    return Pristine(list(parts.values()), [held_out[n] for n in rng.permutation(len(held_out))],
                    [PristineSource(name=name, images=len(part)) for name, part in parts.items()])  # fmt: skip

"""The contents of a teacher's cache, and how it is filled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from dpiqa.errors import InputError
from dpiqa.train.data.datasets import Sample, digests, load, load_unlabelled
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.data.splits import resolve
from dpiqa.train.data.splits import split as divide
from dpiqa.train.loop.checkpoint import state_sha256
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.teachers.cache import Contents, Origin, TeacherCache, make_index


def plan(
    data: list[tuple[str, Path]], unlabelled: list[Path], split: str, seed: int
) -> tuple[pd.DataFrame, list[Sample], list[Origin]]:
    """The index of a cache of these sources, the pictures in the index's order, and their origins.

    It takes the training and validation parts of rated data sets, and all pictures of unlabelled folders except exact
    copies of rated ones.
    """
    names = [name for name, _ in data] + [folder.resolve().name for folder in unlabelled]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two sources are called '{min(duplicates)}', rename one of them")
    parts, origins, pictures, rated = [], [], [], set()
    for name, root in data:
        samples = load(name, root)
        how = resolve(split, samples)
        division = divide(samples, how, seed)
        rated |= set(digests([sample.path for sample in samples]))
        for part, chosen in (("train", division.train), ("val", division.val)):
            parts.append((name, root, part, [sample.path for sample in chosen]))
            pictures += chosen
        origins.append(Origin(name=name, split=how, images=len(division.train)))
    for folder in unlabelled:
        samples = load_unlabelled(folder)
        sums = digests([sample.path for sample in samples])
        new = [sample for sample, digest in zip(samples, sums, strict=True) if digest not in rated]
        if not new:
            raise InputError(f"--unlabelled {folder}: every picture in it also belongs to a rated data set")
        parts.append((folder.resolve().name, folder, "unlabelled", [sample.path for sample in new]))
        pictures += new
        origins.append(Origin(name=folder.resolve().name, split=None, images=len(new)))
    return make_index(parts), pictures, origins


def describe(teacher: nn.Module, record: RunRecord, index: pd.DataFrame, origins: list[Origin], bf16: bool) -> Contents:
    """The description by which this teacher's cache of this index is recognised."""
    return Contents(
        teacher=state_sha256(teacher),
        data=hashlib.sha256(index.to_csv(index=False).encode()).hexdigest(),
        input=record.input,
        bf16=bf16,
        trained_on=record.trained_on,
        origins=tuple(origins),
    )


@torch.inference_mode()
def fill(cache: TeacherCache, teacher: nn.Module, pictures: list[Sample], batch: int) -> None:
    """Compute the scores and maps that the cache lacks; each batch is stored when it is done."""
    assert cache.contents.input
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.to(device).eval()
    missing = cache.missing()
    batches = [missing[start : start + batch].tolist() for start in range(0, len(missing), batch)]
    frames = DataLoader(RatedFrames(pictures, cache.contents.input), batch_sampler=batches, num_workers=1)
    for rows, (batch_frames, _) in zip(batches, track(frames, "running the teacher", len(batches)), strict=True):
        with torch.autocast(device.type, torch.bfloat16, enabled=cache.contents.bf16):
            scores, maps = teacher(batch_frames.to(device))
        cache.write(rows, scores.float().cpu().numpy(), maps.float().cpu().numpy())

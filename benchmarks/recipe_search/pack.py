"""Gathering what the search takes along: rated pictures of the authors' training part, and weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from dpiqa.train.data.datasets import load
from dpiqa.train.data.splits import split
from dpiqa.train.students.model import Student
from dpiqa.train.teachers.packaged import packaged_vit

from .parts import SOURCES, VIT_WEIGHTS, WEIGHTS, Picture, write_parts
from .recipe import VIT

ARCHES = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")


def gather(biq2021: Path, flive_voc: Path) -> list[tuple[Picture, Path]]:
    """BIQ2021's training and validation parts (`official`, seed 0), and every second picture of FLIVE-VOC."""
    parts = split(load("biq2021", biq2021), "official", seed=0)
    rows = [
        (Picture(s.path.name, SOURCES[0], s.mos, s.subset or "", s.group, val), s.path)
        for val, samples in ((False, parts.train), (True, parts.val))
        for s in samples
    ]
    rows.sort(key=lambda row: row[0].name)
    table = pd.read_csv(flive_voc / "scores.csv").sort_values("image").iloc[::2]
    for image, mos in zip(table["image"], table["mos"], strict=True):
        rows.append((Picture(str(image), SOURCES[1], float(mos), "voc", str(image), False),
                     flive_voc / "images" / str(image)))  # fmt: skip
    return rows


def pack(biq2021: Path, flive_voc: Path, out: Path, limit: int | None = None) -> list[Path]:
    """Write all parts and weights into `out`; `limit`: about so many pictures alone, spread over all."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.part"):
        old.unlink()
    rows = gather(biq2021, flive_voc)
    if limit:
        rows = [(replace(picture, val=place % 10 == 0), path)
                for place, (picture, path) in enumerate(rows[:: max(1, len(rows) // limit)])]  # fmt: skip
    written = write_parts(rows, out)
    trunks = {}
    for arch in ARCHES:
        student = Student(arch)
        student.load_imagenet()
        trunks[arch] = student.trunk.state_dict()
    torch.save(trunks, out / WEIGHTS)
    written.append(out / WEIGHTS)
    if packaged := packaged_vit():
        torch.save({VIT: {name: value.half() for name, value in packaged[0].items()}}, out / VIT_WEIGHTS)
        written.append(out / VIT_WEIGHTS)
    return written

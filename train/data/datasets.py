"""Data sets with human opinion scores, read in the layouts that their authors publish.

Every loader turns a folder into `Sample`s: a picture, its MOS mapped linearly to 0-100 (higher is better), and the
group that a split must not divide (near-duplicates, or the distorted versions of one reference).
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.progress import track
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from dpiqa.errors import InputError, system_reason
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.sources import expand, is_video

Part = Literal["train", "val", "test"]
_MAX_LISTED = 5
_COLUMNS = "image,mos[,std,split,group,collection]"


@dataclass(frozen=True)
class Sample:
    """One rated picture: `mos` in 0-100, `std` on the same scale; `official` is the authors' part, if they defined one.

    `collection` names where the picture comes from, in data sets that combine several collections: within one, the MOS
    follows what the picture shows.
    """

    path: Path
    mos: float
    group: str
    official: Part | None = None
    subset: str | None = None
    std: float | None = None
    collection: str = ""


def load(name: str, root: Path) -> list[Sample]:
    """Read the data set `name` from the folder (or, for `csv`, the file) `root`.

    Raises InputError that names what is missing or out of range, and how many pictures are missing.
    """
    if name not in LOADERS:
        raise InputError(f"unknown data set '{name}', known: {', '.join(sorted(LOADERS))}")
    if not root.exists():
        raise InputError(f"{name}: {root} does not exist")
    try:
        samples = [replace(sample, collection=f"{root} {sample.collection}") for sample in LOADERS[name](root)]
    except FileNotFoundError as error:
        raise InputError(f"{name}: {error.filename} is missing, {root} does not have the published layout") from None
    except (KeyError, ValueError, pd.errors.ParserError, MatReadError) as error:
        raise InputError(f"{name}: cannot read the scores under {root}: {error}") from None
    if not samples:
        raise InputError(f"{name}: no rated pictures under {root}")
    _refuse_bad_scores(name, samples)
    _refuse(name, "absent", [sample.path for sample in samples if not sample.path.is_file()], len(samples))
    return samples


def load_unlabelled(folder: Path, option: str = "--unlabelled") -> list[Sample]:
    """Every picture in `folder`, the value of `option`, and below it, with MOS NaN; InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"{option} {folder}: no such folder")
    files = [Path(file) for file in expand(folder) if not is_video(file)]
    if not files:
        raise InputError(f"{option} {folder}: no picture in this folder")
    return [Sample(file, math.nan, str(file)) for file in files]


def parse_source(text: str) -> tuple[str, Path]:
    """Split `NAME=PATH`, a value of `--data`."""
    name, separator, path = text.partition("=")
    if not separator or not path:
        raise InputError(f"--data {text}: expected NAME=PATH, with NAME one of {', '.join(sorted(LOADERS))}")
    return name, Path(path)


def check_pictures(name: str, samples: list[Sample], progress: bool = False) -> None:
    """Decode every picture once, so that a broken file is reported before training rather than during it."""

    def broken(sample: Sample) -> Path | None:
        try:
            read_picture(sample.path)
        except InputError:
            return sample.path
        return None

    with ThreadPoolExecutor() as pool:
        paths = track(pool.map(broken, samples), f"checking {name}", len(samples), disable=not progress)
        _refuse(name, "broken", [path for path in paths if path], len(samples))


def digests(pictures: list[Path]) -> list[str]:
    """SHA-256 of the bytes of every picture; InputError for one that cannot be read."""

    def digest(path: Path) -> str:
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{path}: {system_reason(error)}") from None

    with ThreadPoolExecutor() as pool:
        return list(track(pool.map(digest, pictures), "reading pictures", len(pictures), transient=True))


def _refuse(name: str, what: str, paths: list[Path], total: int) -> None:
    if paths:
        some = ", ".join(str(path) for path in paths[:_MAX_LISTED]) + (", ..." if len(paths) > _MAX_LISTED else "")
        raise InputError(f"{name}: {len(paths)} of {total} pictures are {what}: {some}")


def _refuse_bad_scores(name: str, samples: list[Sample]) -> None:
    for sample in samples:
        if not (math.isfinite(sample.mos) and 0 <= sample.mos <= 100):
            raise InputError(f"{name}: {sample.path.name} has MOS {sample.mos:g} after scaling, expected 0 to 100")


def _find(folder: Path) -> Callable[[str], Path]:
    """Look names up regardless of case (one suffix in BIQ2021's list differs from its file)."""
    by_lower = {path.name.lower(): path for path in folder.iterdir()} if folder.is_dir() else {}
    return lambda name: by_lower.get(name.lower(), folder / name)


def _biq2021(root: Path) -> Iterator[Sample]:
    find = _find(root / "Images")
    groups = pd.read_csv(Path(__file__).with_name("biq2021_near_duplicates.csv")).set_index("image")["group"].to_dict()
    for part in ("train", "test"):
        table = pd.read_csv(
            root / f"{part.title()} (Images and MOS).csv", usecols=[0, 1], names=["image", "mos"], header=0
        )
        for image, mos in table.itertuples(index=False):
            group = f"near-duplicates {groups[image]}" if image in groups else str(image)
            subset = str(image)[:4]
            yield Sample(find(str(image)), 100 * float(mos), group, part, subset=subset, collection=subset)


def _clive(root: Path) -> Iterator[Sample]:
    """LIVE in the Wild; the seven pictures that trained its observers are left out, as is usual."""

    def column(kind: str) -> list:
        return loadmat(str(root / "Data" / f"All{kind}_release.mat"))[f"All{kind}_release"].ravel().tolist()

    names = [str(name[0]) for name in column("Images")]
    find = _find(root / "Images")
    for name, mos, std in list(zip(names, column("MOS"), column("StdDev"), strict=True))[7:]:
        yield Sample(find(name), mos, name, std=std)


def _koniq10k(root: Path) -> Iterator[Sample]:
    folder = next((root / size for size in ("1024x768", "512x384") if (root / size).is_dir()), root / "1024x768")
    table = pd.read_csv(root / "koniq10k_scores_and_distributions.csv")
    for image, mos, std in zip(table["image_name"], table["MOS"], table["SD"], strict=True):
        yield Sample(folder / str(image), _from_1_5(mos), str(image), std=25 * float(std))


def _spaq(root: Path) -> Iterator[Sample]:
    table = pd.read_excel(root / "Annotations" / "MOS and Image attribute scores.xlsx")
    for image, mos in zip(table["Image name"], table["MOS"], strict=True):
        yield Sample(root / "TestImage" / str(image), float(mos), str(image))


def _livefb(root: Path) -> Iterator[Sample]:
    """LIVE-FB (FLIVE): names in the table include the sub-folder, below the data set's folder or its `database`."""
    folder = root / "database" if (root / "database").is_dir() else root
    table = pd.read_csv(root / "labels_image.csv")
    for image, mos in zip(table["name"], table["mos"], strict=True):
        yield Sample(folder / str(image), float(mos), str(image), collection=str(image).partition("/")[0])


def _kadid10k(root: Path) -> Iterator[Sample]:
    """KADID-10k: its column `dmos` is a quality from 1 to 5, higher is better; `var` is the standard deviation."""
    table = pd.read_csv(root / "dmos.csv")
    for image, reference, dmos, std in zip(
        table["dist_img"], table["ref_img"], table["dmos"], table["var"], strict=True
    ):
        name = str(image)
        yield Sample(root / "images" / name, _from_1_5(dmos), str(reference), subset=name[4:6], std=25 * float(std))


def _tid2013(root: Path) -> Iterator[Sample]:
    find = _find(root / "distorted_images")
    for line in (root / "mos_with_names.txt").read_text().splitlines():
        if line.strip():
            mos, image = line.split()
            yield Sample(find(image), float(mos) * 100 / 9, image[:3].lower(), subset=image[4:6])


def _csv(path: Path) -> Iterator[Sample]:
    """A table of `_COLUMNS`: MOS 0-100, images relative to the table, split train, val or test."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = {"image", "mos"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(f"{path}: column '{min(missing)}' is missing, expected {_COLUMNS}")
        for number, row in enumerate(rows, start=2):
            split = row.get("split") or None
            try:
                mos, std = float(row["mos"]), float(row["std"]) if row.get("std") else None
            except (TypeError, ValueError):
                raise InputError(f"{path}: line {number}: mos and std must be numbers") from None
            if not (math.isfinite(mos) and 0 <= mos <= 100):
                raise InputError(f"{path}: line {number}: mos is {mos:g}, expected 0 to 100")
            if split not in (None, "train", "val", "test"):
                raise InputError(f"{path}: line {number}: split is '{split}', expected train, val or test")
            yield Sample(path.parent / row["image"], mos, row.get("group") or row["image"], split, std=std,
                         collection=row.get("collection") or "")  # fmt: skip


def _from_1_5(mos: float) -> float:
    return (float(mos) - 1) * 25


LOADERS: dict[str, Callable[[Path], Iterator[Sample]]] = {
    "biq2021": _biq2021,
    "clive": _clive,
    "koniq10k": _koniq10k,
    "spaq": _spaq,
    "livefb": _livefb,
    "kadid10k": _kadid10k,
    "tid2013": _tid2013,
    "csv": _csv,
}

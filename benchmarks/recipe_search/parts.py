"""The rated pictures in few files, as the search takes them along: original JPEG bytes behind an index."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

SOURCES = ("biq2021", "flive_voc")
PART_BYTES = 58 * 2**20
WEIGHTS, VIT_WEIGHTS = "weights.pt", "vit.pt"
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Picture:
    """A rated picture: MOS 0 to 100, the collection or subset it is from, its group of near-duplicates.

    `val` tells whether it is in the validation part of BIQ2021's division `official` with seed 0.
    """

    name: str
    source: str
    mos: float
    collection: str
    group: str
    val: bool


class Store:
    """Decoded pictures by their side, uint8 `[N, side, side, 3]` RGB, on a device, and what is known of them.

    Those that nothing trains on come last; sides other than those in `whole` hold the first pictures alone.
    """

    def __init__(self, pictures: list[Picture], frames: dict[int, Tensor], device: torch.device) -> None:
        self.pictures = pictures
        self.device = device
        self.frames = {side: tensor.to(device) for side, tensor in frames.items()}
        self.names = sorted({picture.collection for picture in pictures if picture.source == SOURCES[0]})
        numbers = [self.names.index(p.collection) if p.source == SOURCES[0] else 0 for p in pictures]
        self.mos_here = np.array([picture.mos for picture in pictures])
        self.mos = torch.tensor(self.mos_here, dtype=torch.float32, device=device)
        self.collections_here = np.array(numbers)
        self.collections = torch.tensor(numbers, device=device)

    def divide(self, condition: str) -> tuple[np.ndarray, np.ndarray]:
        """Indices that train and that are measured under `full` or `leave:SUBSET`; groups are never separated."""
        home = [place for place, picture in enumerate(self.pictures) if picture.source == SOURCES[0]]
        kind, _, left = condition.partition(":")
        if kind == "leave":
            measured = [place for place in home if self.pictures[place].collection == left]
            known = {self.pictures[place].group for place in measured}
            trained = [place for place in home if self.pictures[place].group not in known]
        else:
            measured = [place for place in home if self.pictures[place].val]
            trained = [place for place in home if not self.pictures[place].val]
        return np.array(trained), np.array(measured)

    def abroad(self) -> np.ndarray:
        """Indices of the pictures that nothing trains on, in no division."""
        return np.array([n for n, picture in enumerate(self.pictures) if picture.source != SOURCES[0]], dtype=int)


def write_parts(rows: list[tuple[Picture, Path]], folder: Path, most: int = PART_BYTES) -> list[Path]:
    """Write `00.part`, `01.part` ... of at most `most` bytes each (room for the index set apart) and name them."""
    written: list[Path] = []
    held: list[tuple[dict[str, Any], bytes]] = []
    room = most - 2**20

    def flush() -> None:
        if held:
            head = json.dumps([about for about, _ in held]).encode()
            path = folder / f"{len(written):02}.part"
            with path.open("wb") as file:
                file.write(_LENGTH.pack(len(head)) + head)
                for _, data in held:
                    file.write(data)
            written.append(path)
            held.clear()

    filled = 0
    for picture, path in rows:
        data = path.read_bytes()
        if filled + len(data) > room:
            flush()
            filled = 0
        held.append((asdict(picture) | {"bytes": len(data)}, data))
        filled += len(data)
    flush()
    return written


def read_parts(folder: Path) -> Iterator[tuple[Picture, bytes]]:
    """Every picture of the parts in a folder."""
    for path in sorted(folder.glob("*.part")):
        data = path.read_bytes()
        (length,) = _LENGTH.unpack_from(data)
        place = _LENGTH.size + length
        for about in json.loads(data[_LENGTH.size : place]):
            size = about.pop("bytes")
            yield Picture(**about), data[place : place + size]
            place += size


def load_store(folder: Path, sizes: set[int], whole: set[int], device: torch.device) -> Store:
    """Decode the parts for these sides; `whole` are the sides that all pictures are needed at, not the first alone."""
    from dpiqa.runtime.preprocess import resize_area

    rows = sorted(read_parts(folder), key=lambda row: SOURCES.index(row[0].source))
    if not rows:
        raise FileNotFoundError(f"no parts in {folder}")
    first = sum(picture.source == SOURCES[0] for picture, _ in rows)
    counts = {side: len(rows) if side in whole else first for side in sorted(sizes | whole)}
    frames = {side: torch.empty((count, side, side, 3), dtype=torch.uint8) for side, count in counts.items()}
    views = {side: tensor.numpy() for side, tensor in frames.items()}
    cv2.setNumThreads(1)

    def decode(place: int) -> None:
        image = cv2.imdecode(np.frombuffer(rows[place][1], np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{rows[place][0].name} cannot be decoded")
        for side, count in counts.items():
            if place < count:
                views[side][place] = cv2.cvtColor(resize_area(image, side, side), cv2.COLOR_BGR2RGB)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV lets go of the interpreter's lock
        for _ in pool.map(decode, range(len(rows))):
            pass
    return Store([picture for picture, _ in rows], frames, device)


def made_store(sizes: set[int], device: torch.device, count: int = 240) -> Store:
    """Pictures of noise over a slope, whose MOS falls with the noise, for a try without data."""
    rng = np.random.default_rng(0)
    pictures, drawn = [], {side: np.empty((count, side, side, 3), np.uint8) for side in sizes}
    for place in range(count):
        level, foreign = rng.random(), place >= count * 5 // 6
        pictures.append(Picture(f"made {place}", SOURCES[foreign], float(80 - 60 * level),
                                "made" if foreign else f"ss0{place % 3 + 1}", str(place), place % 10 == 0))  # fmt: skip
        small = rng.integers(40, 200, (1, 1, 3)) + 40 * level * rng.standard_normal((256, 256, 3))
        grown = small.clip(0, 255).astype(np.uint8)
        for side, frames in drawn.items():
            frames[place] = cv2.resize(grown, (side, side))
    return Store(pictures, {side: torch.from_numpy(frames) for side, frames in drawn.items()}, device)


def load_weights(folder: Path | None) -> dict[str, dict[str, Tensor]]:
    """The trunks' weights in a folder, by their name in timm; none of what is not there."""
    weights: dict[str, dict[str, Tensor]] = {}
    for name in (WEIGHTS, VIT_WEIGHTS):
        if folder and (folder / name).exists():
            weights |= torch.load(folder / name, map_location="cpu", weights_only=True)
    return weights

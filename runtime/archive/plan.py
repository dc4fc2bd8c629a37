"""What an archive is to hold, settled before it is begun: its inputs, block by block, and what they are scored with.

Beside the blocks lie `_inputs.parquet`, with a row group for each block, and, written last, `_archive.json`. Readers of
Parquet pass over names that begin with `_`. A block is `part-NUMBER.parquet`: a run that is resumed, or a worker that
begins a block anew, can neither leave one out nor add one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from dpiqa.errors import InputError
from dpiqa.runtime.archive.inputs import suffix_of
from dpiqa.runtime.archive.store import Store
from dpiqa.runtime.sources import VIDEO_SUFFIXES
from dpiqa.runtime.spec import field_reason

SETTINGS, INPUTS = "_archive.json", "_inputs.parquet"
_PART = re.compile(r"part-(\d{7,})\.parquet")
_FIRST, _BLOCKS = 64_000, 64  # a small archive has 64 blocks, of the first inputs of a large one
_LARGEST, _VIDEO = 1000, 100  # pictures in a block; a video counts for so many


class Settings(BaseModel):
    """What an archive holds and what it was scored with."""

    model_config = ConfigDict(frozen=True)

    input: str
    fps: float | None
    model: str
    weights_sha256: str
    inputs: int
    blocks: int


class Blocks(Protocol):
    """Inputs by block."""

    def uris(self, block: int) -> list[str]:
        """The inputs of a block."""
        ...


class StoredBlocks:
    """The blocks of an archive that was begun, read where they are needed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the file anew in another process."""
        return StoredBlocks, (self._store,)

    @cached_property
    def _file(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self._store.open(INPUTS))

    def uris(self, block: int) -> list[str]:
        """See Blocks."""
        return [os.fsdecode(uri) for uri in self._file.read_row_group(block).column(0).to_pylist()]


class ProbeBlocks:
    """Blocks of a few inputs, kept in memory."""

    def __init__(self, blocks: list[list[str]]) -> None:
        self._blocks = blocks

    def uris(self, block: int) -> list[str]:
        """See Blocks."""
        return self._blocks[block]


def part_name(block: int) -> str:
    """The file that holds a block."""
    return f"part-{block:07}.parquet"


def blocks_left(store: Store, settings: Settings) -> list[int]:
    """The blocks that are not written yet."""
    written = {int(match[1]) for match in map(_PART.fullmatch, store.names()) if match}
    return [block for block in range(settings.blocks) if block not in written]


def load(store: Store) -> Settings | None:
    """The settings of an archive that was begun, None where there is none. Raises InputError."""
    if SETTINGS not in store.names():
        return None
    try:
        return Settings.model_validate_json(store.read(SETTINGS))
    except ValidationError as error:
        raise InputError(f"{store.uri(SETTINGS)}: {field_reason(error)}") from None


def begin(store: Store, wanted: Settings, uris: Iterable[str]) -> Settings:
    """Write the inputs and the settings of a new archive, complete with their numbers. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("uri", pa.binary())])  # a name need not be UTF-8
    count = blocks = 0
    with store.writing(INPUTS) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for block in cut(uris):
            writer.write_table(
                pa.table([[os.fsencode(uri) for uri in block]], schema=schema), row_group_size=len(block)
            )
            count, blocks = count + len(block), blocks + 1
        if not count:
            raise InputError(f"{wanted.input}: names no picture or video")
    settings = wanted.model_copy(update={"inputs": count, "blocks": blocks})
    with store.writing(SETTINGS) as file:
        file.write(settings.model_dump_json(indent=1).encode())
    return settings


def cut(uris: Iterable[str]) -> Iterator[list[str]]:
    """Inputs in blocks: about 64 of few, of many up to 1,000 pictures each; a video counts for 100 pictures."""
    rest = iter(uris)
    first = list(islice(rest, _FIRST))
    size = max(1, min(_LARGEST, sum(map(_weight, first)) // _BLOCKS))
    block, weight = list[str](), 0
    for uri in chain(first, rest):
        block.append(uri)
        weight += _weight(uri)
        if weight >= size:
            yield block
            block, weight = [], 0
    if block:
        yield block


def _weight(uri: str) -> int:
    return _VIDEO if suffix_of(uri) in VIDEO_SUFFIXES else 1

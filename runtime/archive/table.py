"""The rows of an archive as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from dpiqa.runtime.reading import Reading, printable
from dpiqa.runtime.spec import ModelSpec

_ROWS = 10_000  # of a row group: what is held in memory


def versions(engine: str) -> str:
    """What scored: the package and the library of the engine."""
    library = engine if engine in ("openvino", "onnxruntime") else None
    return ", ".join([f"dpiqa-edge {version('dpiqa-edge')}", f"{engine} {version(library) if library else ''}".strip()])


def schema(causes: Sequence[str]) -> pa.Schema:
    """The columns; `causes` is a struct with a field of 0 to 1 for each cause."""
    text = pa.dictionary(pa.int32(), pa.string())  # which repeats
    fields: dict[str, pa.DataType] = {"uri": pa.string(), "frame": pa.int64(), "pts_s": pa.float64()}
    fields |= {"score": pa.float32(), "band": text, "causes": pa.struct([(name, pa.float32()) for name in causes])}
    fields |= {"void": text, "error": pa.string(), "model": text, "weights_sha256": text, "versions": text}
    return pa.schema(list(fields.items()))


class Table:
    """Writes rows to a file: one for each picture and frame, and one with `error` for an input that failed."""

    def __init__(self, file: BinaryIO, spec: ModelSpec, versions: str) -> None:
        self._schema = schema(spec.causes)
        self._constants = {"model": f"{spec.name} {spec.version}", "weights_sha256": spec.weights_sha256}
        self._constants["versions"] = versions
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self.count = 0

    def reading(self, uri: str, reading: Reading) -> None:
        """Add a picture or a frame."""
        row = {"frame": reading.index, "pts_s": reading.pts_s, "score": reading.score, "band": reading.band}
        self._add(uri, row | {"void": reading.void, "causes": reading.causes or None})

    def error(self, uri: str, reason: str) -> None:
        """Add an input that could not be read, or not to its end."""
        self._add(uri, {"error": printable(reason)})

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _add(self, uri: str, row: dict[str, Any]) -> None:
        self._rows.append(self._constants | {"uri": printable(uri)} | row)
        self.count += 1
        if len(self._rows) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()

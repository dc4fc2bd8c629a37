"""Readings as Apache Parquet, for data frames and databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from dpiqa.errors import DpiqaError
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.reading import Reading
from dpiqa.runtime.tally import Tally

_ROWS = 10_000  # of a row group: what is held in memory


class Parquet:
    """One row for each reading: source, index, pts_s, score, band, void and, 0 to 1 each, `cause_NAME`.

    Raises DpiqaError where PyArrow is missing.
    """

    def __init__(self, file: BinaryIO, causes: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError:
            raise DpiqaError("Parquet needs PyArrow, install it with: pip install '.[parquet]'") from None
        fields = {"source": pa.string(), "index": pa.int64(), "pts_s": pa.float64(), "score": pa.float32()}
        fields |= {"band": pa.string(), "void": pa.string()} | {f"cause_{name}": pa.float32() for name in causes}
        self._schema = pa.schema(fields.items())
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._batch = pa.RecordBatch.from_pylist
        self._rows: list[dict[str, Any]] = []

    def reading(self, reading: Reading) -> None:
        """See Output."""
        row = reading.model_dump(mode="json", include={"source", "index", "pts_s", "score", "band", "void"})
        row["source"] = row["source"].encode("utf-8", "backslashreplace").decode()
        self._rows.append(row | {f"cause_{name}": value for name, value in reading.causes.items()})
        if len(self._rows) == _ROWS:
            self._flush()

    def video(self, pool: Pool) -> None:
        """See Output."""

    def end(self, pictures: Tally) -> None:
        """See Output."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_batch(self._batch(self._rows, schema=self._schema))
        self._rows.clear()

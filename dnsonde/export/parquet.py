"""Parquet, for DuckDB, pandas, Spark and all the others."""

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


def parquet(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write rows as one Parquet file, compressed with zstd."""
    with pq.ParquetWriter(out, rows.schema, compression="zstd") as file:
        for batch in rows:
            file.write_batch(batch)

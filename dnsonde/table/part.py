"""A lake's part, written: sorted so that a name or an address is found without reading all of it."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dnsonde.table.schema import TABLES
from dnsonde.table.store import parquet_writer

ROWS = 245_760  # of a part: sorted at once, in memory
GROUP = 30_720  # rows that a search skips or reads together
GROUP_UNSORTED = 122_880  # what DuckDB gives to one thread
TIME = {"message": "time_us", "flow": "start_us"}


def in_order(table: str, rows: pa.Table) -> pa.Table:
    """Messages by registered domain and time, flows by source and start."""
    rows = rows.unify_dictionaries()
    if table == "message":
        keys = [_rank(rows.column("registered_domain")), rows.column("time_us").to_numpy()]
    else:
        keys = [rows.column(name).to_numpy() for name in ("src_net", "src_host", "start_us")]
    return rows.take(pa.array(np.lexsort(keys[::-1])))


def write(rows: pa.Table, path: Path, *, durable: bool = True, about: dict[str, str] | None = None) -> None:
    """Write a part where nobody looks for one yet; `durable`: it is on disk when this returns.

    about: what its footer says beside the table's name and version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    group = GROUP if durable else GROUP_UNSORTED
    table = TABLES[rows.schema.metadata[b"dnsonde.table"].decode()]
    dictionaries = any(pa.types.is_dictionary(kind) for kind in rows.schema.types)
    with path.open("wb", buffering=1 << 20) as file:
        with parquet_writer(file, table, dictionaries=dictionaries) as writer:
            for start in range(0, rows.num_rows, group):
                writer.write_table(_with_own_texts(rows.slice(start, group)), row_group_size=group)
            if about:
                writer.add_key_value_metadata(about)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _with_own_texts(rows: pa.Table) -> pa.Table:
    """The same rows, their dictionaries without the texts that none of them has: each row group stores its own."""
    columns = [_of_own(column) if pa.types.is_dictionary(column.type) else column for column in rows.columns]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _of_own(column: pa.ChunkedArray) -> pa.Array:
    texts = column.combine_chunks()
    used = np.zeros(len(texts.dictionary) + 1, np.bool_)
    number = texts.indices.fill_null(-1).to_numpy()
    used[number] = True
    used[-1] = False
    if used.sum() == len(texts.dictionary):
        return texts
    place = np.cumsum(used, dtype=np.int32) - 1
    index = pa.array(place[number], mask=number < 0 if texts.null_count else None)
    return pa.DictionaryArray.from_arrays(index, texts.dictionary.take(pa.array(np.flatnonzero(used))))


def _rank(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers that sort as the texts do; null comes first."""
    column = texts.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    place = np.argsort(pc.sort_indices(column.dictionary).to_numpy())
    index = column.indices.fill_null(-1).to_numpy()
    ranks: NDArray[np.int64] = np.append(place, -1)[index]
    return ranks

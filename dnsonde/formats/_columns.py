"""Numpy columns to one Arrow batch of a table of the dictionary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.table.schema import Table
from dnsonde.table.store import with_dictionaries


def record_batch(
    table: Table, count: int, columns: Mapping[str, Any], *, repeating: bool = False
) -> pa.RecordBatch:
    """`count` rows: a column is an array (numpy or Arrow), a pair of values and validity, or one value for all.

    What is left out is null; ValueError where it may not be, or where a name is none of the table's. With `repeating`
    the schema is `with_dictionaries` of the table's.
    """
    schema = with_dictionaries(table) if repeating else table.schema
    unknown = columns.keys() - {c.name for c in table.columns}
    if unknown:
        raise ValueError(f"table {table.name} has no column {', '.join(sorted(unknown))}")
    arrays = []
    for column, field in zip(table.columns, schema, strict=True):
        value = columns.get(column.name)
        if value is None:
            if not column.null:
                raise ValueError(f"column {table.name}.{column.name} must not be null")
            arrays.append(pa.nulls(count, field.type))
        else:
            arrays.append(_array(value, field.type, count))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    if isinstance(value, pa.Array):
        return value if value.type.equals(kind) else value.cast(kind)
    if isinstance(value, tuple):
        values, valid = value
        return _numbers(values, kind, valid)
    if isinstance(value, np.ndarray):
        return _numbers(value, kind, None)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))
    return pa.repeat(pa.scalar(value, kind), count)


def _numbers(values: NDArray[Any], kind: pa.DataType, valid: NDArray[np.bool_] | None) -> pa.Array:
    mask = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    if pa.types.is_boolean(kind):
        data = np.packbits(values.astype(bool), bitorder="little")
    else:
        data = np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(data)])


def words(code: NDArray[Any], texts: list[str]) -> pa.Array:
    """A column of text of few kinds: `texts[code]`."""
    return pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), pa.array(texts))

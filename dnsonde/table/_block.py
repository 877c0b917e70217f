"""Rows on their way to a part: plain buffers that grow, one a column, filled by slices and never by rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.table.schema import Column, Table

FIRST_CAPACITY = 1024
LOOSE_CHUNKS = 1024  # text chunks that may lie about before they are joined

_SCALARS = (str, bytes, int, float)


class Block:
    """Rows of one table, kept in memory until they are written.

    `add` copies what it is given, so the caller may reuse its buffers at once.
    """

    def __init__(self, table: Table, capacity: int = FIRST_CAPACITY) -> None:
        self.table = table
        self.rows = 0
        self._columns: dict[str, _Fixed | _Variable] = {
            c.name: _Variable(c) if _is_variable(c.type) else _Fixed(c, max(capacity, 1))
            for c in table.columns
        }

    def add(self, columns: Mapping[str, Any]) -> int:
        """Take some rows; return how many.

        A column is an array (numpy, Arrow, masked, a list, or a pair of values and a validity mask) or one
        value for all rows. A column that is left out is null; where it may not be null, that is a ValueError,
        as are unknown columns and unequal lengths. Nothing is taken when it raises.
        """
        unknown = columns.keys() - self._columns.keys()
        if unknown:
            raise ValueError(f"table {self.table.name} has no column {', '.join(sorted(unknown))}")
        taken = {name: _split(columns.get(name)) for name in self._columns}
        lengths = {len(values) for values, _ in taken.values() if not _is_scalar(values)}
        if len(lengths) > 1:
            found = {name: len(v) for name, (v, _) in taken.items() if not _is_scalar(v)}
            raise ValueError(f"columns of {self.table.name} differ in length: {found}")
        count = lengths.pop() if lengths else 1
        if count == 0:
            return 0
        for name, (values, valid) in taken.items():
            try:
                self._columns[name].put(self.rows, count, values, valid)
            except (TypeError, ValueError, OverflowError, pa.ArrowInvalid) as error:
                self._forget_after(self.rows)
                raise type(error)(f"column {self.table.name}.{name}: {error}") from error
        self.rows += count
        return count

    def arrow(self) -> pa.Table:
        """What is in it as one Arrow table with the table's schema; fixed columns are not copied."""
        arrays = [column.arrow(self.rows) for column in self._columns.values()]
        return pa.Table.from_arrays(arrays, schema=self.table.schema)

    def _forget_after(self, rows: int) -> None:
        for column in self._columns.values():
            column.cut(rows)


class _Fixed:
    """A column of numbers or booleans: a numpy buffer, and a mask where nulls are allowed."""

    def __init__(self, column: Column, capacity: int) -> None:
        self.column = column
        self.dtype = np.dtype(column.type.to_pandas_dtype())
        self.limit = np.iinfo(self.dtype) if self.dtype.kind in "iu" else None
        self.values = np.empty(capacity, self.dtype)
        self.null: NDArray[np.bool_] | None = np.empty(capacity, np.bool_) if column.null else None

    def put(self, start: int, count: int, values: Any, valid: NDArray[np.bool_] | None) -> None:
        end = start + count
        if end > len(self.values):
            self._grow(end)
        if values is None:
            self._require_null()
            values, valid = 0, None
            self._mask(start, end)[:] = True
        elif self.null is not None:
            if valid is None:
                self.null[start:end] = False
            else:
                np.logical_not(valid, out=self.null[start:end])
        elif valid is not None and not valid.all():
            self._require_null()
        if not _is_scalar(values):
            values = np.asarray(values)
            if values.dtype != self.dtype:
                self._require_fit(values)
        self.values[start:end] = values

    def cut(self, rows: int) -> None:
        """Rows past `rows` are overwritten by the next `put`; there is nothing to undo."""

    def arrow(self, rows: int) -> pa.Array:
        null = None if self.null is None else self.null[:rows]
        return pa.array(self.values[:rows], self.column.type, mask=null)

    def _mask(self, start: int, end: int) -> NDArray[np.bool_]:
        assert self.null is not None
        return self.null[start:end]

    def _require_null(self) -> None:
        if self.null is None:
            raise ValueError("it may not be null and was not given")

    def _require_fit(self, values: NDArray[Any]) -> None:
        """Refuse what would change silently. Unsigned 64-bit numbers keep their bits as signed ones."""
        mine, theirs = self.dtype, values.dtype
        if (mine.kind in "iu" and theirs.kind not in "iub") or (mine.kind == "b" and theirs.kind != "b"):
            raise TypeError(f"{theirs} values in a column of {mine}")
        if self.limit is None or mine.itemsize == theirs.itemsize == 8 or np.can_cast(theirs, mine):
            return
        low, high = int(values.min()), int(values.max())
        if low < self.limit.min or high > self.limit.max:
            raise OverflowError(f"{low if low < self.limit.min else high} does not fit {mine}")

    def _grow(self, need: int) -> None:
        size = max(need, 2 * len(self.values))
        self.values = _longer(self.values, size)
        if self.null is not None:
            self.null = _longer(self.null, size)


class _Variable:
    """A column of text or octets: Arrow chunks, and runs of one value."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.chunks: list[pa.Array] = []
        self.loose: list[pa.Array] = []
        self.value: Any = None  # the run's value
        self.run = 0
        self.rows = 0

    def put(self, start: int, count: int, values: Any, valid: NDArray[np.bool_] | None) -> None:
        assert start == self.rows
        if values is None and not self.column.null:
            raise ValueError("it may not be null and was not given")
        if _is_scalar(values):
            if self.run and values != self.value:
                self._end_run()
            if values is not None:
                pa.scalar(
                    values, self.column.type
                )  # the wrong type is told here, not when the part is written
            self.value = values
            self.run += count
        else:
            chunk = _variable_array(values, valid, self.column.type)
            if chunk.null_count and not self.column.null:
                raise ValueError("it may not be null")
            self._end_run()
            self.loose.append(chunk)
            if len(self.loose) >= LOOSE_CHUNKS:
                self._join()
        self.rows += count

    def cut(self, rows: int) -> None:
        if rows < self.rows:
            kept = self.arrow(self.rows).slice(0, rows)
            self.chunks, self.loose, self.run, self.rows = list(kept.chunks), [], 0, rows

    def arrow(self, rows: int) -> pa.ChunkedArray:
        assert rows == self.rows
        self._end_run()
        self._join()
        return pa.chunked_array(self.chunks, self.column.type)

    def _end_run(self) -> None:
        if self.run:
            self.loose.append(pa.repeat(pa.scalar(self.value, self.column.type), self.run))
            self.run = 0

    def _join(self) -> None:
        if self.loose:
            self.chunks.append(pa.concat_arrays(self.loose))
            self.loose = []


def _split(values: Any) -> tuple[Any, NDArray[np.bool_] | None]:
    """Values and their validity mask, whatever way the caller wrote nulls."""
    if (type(values) is np.ndarray and values.ndim == 1) or values is None:  # nearly always
        return values, None
    if isinstance(values, tuple) and len(values) == 2 and isinstance(values[0], np.ndarray):
        data, valid = values
        if len(valid) != len(data):
            raise ValueError(f"{len(data)} values with {len(valid)} validity flags")
        return data, np.asarray(valid, np.bool_)
    if isinstance(values, np.ma.MaskedArray):
        return values.filled(), ~np.ma.getmaskarray(values)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array) and not _is_variable(_value_type(values.type)):
        if not values.null_count:
            return values.to_numpy(zero_copy_only=False), None
        valid = values.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_null(values.type):
            return np.zeros(len(values), np.bool_), valid
        return values.fill_null(False if pa.types.is_boolean(values.type) else 0).to_numpy(
            zero_copy_only=False
        ), valid
    if isinstance(values, np.ndarray) and values.ndim == 0:
        return values.item(), None
    if isinstance(values, np.generic):
        return values.item(), None
    return values, None


def _is_scalar(values: Any) -> bool:
    return values is None or isinstance(values, _SCALARS)


def _is_variable(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _variable_array(values: Any, valid: NDArray[np.bool_] | None, kind: pa.DataType) -> pa.Array:
    mask = None if valid is None else ~valid
    if not isinstance(values, pa.Array):
        return pa.array(values, kind, mask=mask) if mask is not None else pa.array(values).cast(kind)
    return values if values.type == kind else values.cast(kind)


def _longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    longer = np.empty(size, array.dtype)
    longer[: len(array)] = array
    return longer

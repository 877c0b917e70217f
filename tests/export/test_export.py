"""Every format writes every row, and none of them carries what a stranger's name would do to its reader."""

import csv as reader
import io
import json
from collections.abc import Iterator
from types import FunctionType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, set_cell_size

from dnsonde import registry
from dnsonde.escape import terminal
from dnsonde.export.csv import csv
from dnsonde.export.json import json as json_
from dnsonde.export.jsonl import jsonl
from dnsonde.export.parquet import parquet
from dnsonde.export.table import MEASURED, WIDE, table

HOSTILE = [
    "plain.example",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "+1",
    " =1+1",
    "\t=1",
    "\uff1d1+1",
    'quo"te, and comma',
    "\x1b[31mred\x1b[0m",
    "\u202eevil\u202c",
    "\x9b2J",
    "line\nbreak",
    None,
]


def reader_of(*texts: str | None) -> pa.RecordBatchReader:
    batch = pa.record_batch({"n": list(range(len(texts))), "name": pa.array(texts, pa.string())})
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def reader_of_column(column: pa.Array) -> pa.RecordBatchReader:
    batch = pa.record_batch({"x": column})
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def test_the_folder_is_the_registry() -> None:
    assert set(registry.entries("dnsonde.export", FunctionType)) >= {"csv", "jsonl", "parquet", "table"}


def test_jsonl_gives_every_row_back_in_ascii() -> None:
    out = io.BytesIO()
    jsonl(reader_of(*HOSTILE), out)
    assert out.getvalue().isascii()
    assert b"\x1b" not in out.getvalue()
    assert [json.loads(line)["name"] for line in out.getvalue().splitlines()] == HOSTILE


def test_jsonl_says_null_for_what_json_has_no_word_for() -> None:
    batch = pa.record_batch({"x": [1.5, float("nan"), float("inf"), None]})
    out = io.BytesIO()
    jsonl(pa.RecordBatchReader.from_batches(batch.schema, [batch]), out)
    assert [json.loads(line)["x"] for line in out.getvalue().splitlines()] == [1.5, None, None, None]


@pytest.mark.parametrize("write", [json_, jsonl])
def test_json_says_null_within_lists_and_the_like_too(write: FunctionType) -> None:
    out = io.BytesIO()
    write(reader_of_column(pa.array([{"a": [1.5, float("nan")], "b": b"\xff"}])), out)
    assert b'{"x":{"a":[1.5,null],"b":"ff"}}' in out.getvalue()


def test_csv_neutralises_formulas_and_keeps_the_rest() -> None:
    out = io.BytesIO()
    csv(reader_of(*HOSTILE), out)
    rows = list(reader.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert len(rows) == len(HOSTILE)
    formulas = [t for t in HOSTILE if t and t.strip()[:1] in {"=", "+", "-", "@", "\uff1d"}]
    got = [row["name"] for row in rows]
    assert all(f"'{text}" in got for text in formulas)
    assert all(terminal(text, keep="\t\r\n") in got for text in HOSTILE if text and text not in formulas)
    assert not {"\x1b", "\u202e", "\x9b"} & set(out.getvalue().decode())


@pytest.mark.parametrize("write", [csv, json_, jsonl, table])
def test_octets_are_written_in_hex(write: FunctionType) -> None:
    octets = [b"=cmd|'/C calc'!A0\x1b]0;owned\x07", b"\xff", None]
    out = io.BytesIO()
    write(reader_of_column(pa.array(octets)), out)
    text = out.getvalue().decode()
    assert all(value.hex() in text for value in octets if value)
    assert "cmd" not in text
    assert "\x1b" not in text


def test_csv_neutralises_formulas_in_whatever_type() -> None:
    column = pa.array(["=1+1", None, "\x1b[2J"])
    for other in (column.dictionary_encode(), column.cast(pa.large_string())):
        plain, out = io.BytesIO(), io.BytesIO()
        csv(reader_of_column(column), plain)
        csv(reader_of_column(other), out)
        assert out.getvalue() == plain.getvalue() == b'"x"\n"\'=1+1"\n\n"\\x1b[2J"\n'


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1), min_size=1))
def test_no_csv_cell_begins_like_a_formula(texts: list[str]) -> None:
    out = io.BytesIO()
    csv(reader_of(*texts), out)
    for row in reader.DictReader(io.StringIO(out.getvalue().decode(), newline="")):
        assert row["name"].lstrip()[:1] not in {"=", "+", "-", "@"}
        assert row["name"][:1] not in {"\t", "\r", "\n"}


def test_parquet_gives_every_row_back() -> None:
    out = io.BytesIO()
    parquet(reader_of(*HOSTILE), out)
    assert pq.read_table(io.BytesIO(out.getvalue()))["name"].to_pylist() == HOSTILE


def test_a_table_carries_nothing_that_steers_a_terminal() -> None:
    out = io.BytesIO()
    table(reader_of(*HOSTILE), out)
    text = out.getvalue().decode()
    assert not {"\x1b", "\u202e", "\u202c", "\x9b", "\t"} & set(text)
    assert r"\x1b[31mred\x1b[0m" in text
    assert r"\u202eevil\u202c" in text
    assert len(text.splitlines()) == len(HOSTILE) + 1


def only_letters(text: str) -> str:
    """Without spaces, and without what takes no cell: nobody can tell on which side of a border that stands."""
    return "".join(letter for letter in text if not letter.isspace() and cell_len(letter))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=300)), st.sampled_from([1, 2, 3]))
def test_a_table_is_no_wider_than_it_may_be_and_loses_nothing(texts: list[str], columns: int) -> None:
    batch = pa.record_batch({f"text_{number}": pa.array(texts, pa.string()) for number in range(columns)})
    out = io.BytesIO()
    table(pa.RecordBatchReader.from_batches(batch.schema, [batch]), out)
    lines = out.getvalue().decode().splitlines()
    assert max(map(cell_len, lines)) <= WIDE
    first = lines[0].index("text_1") if columns > 1 else WIDE
    said = "".join(set_cell_size(line, first) for line in lines[1:])
    assert only_letters(said) == only_letters("".join(terminal(text, keep="") for text in texts))


def test_a_table_folds_between_words_and_aligns_by_cells() -> None:
    batch = pa.record_batch({
        "host": ["\u65e5\u672c.example", "a.example"],
        "sent": [7, 1_000],
        "why": ["The right answer, " * 9 + "x" * 200, "short"],
    })  # fmt: skip
    out = io.BytesIO()
    table(pa.RecordBatchReader.from_batches(batch.schema, [batch]), out)
    head, *lines = out.getvalue().decode().splitlines()
    assert head.split() == ["host", "sent", "why"]
    assert lines[0].startswith("\u65e5\u672c.example     7  The right answer, The right")
    assert lines[0].endswith("The right")
    assert lines[1].strip().startswith("answer, The right answer,")
    assert lines[-1] == "a.example     1000  short"


@pytest.mark.parametrize("write", [csv, jsonl, parquet, table])
def test_no_rows_are_no_error(write: FunctionType) -> None:
    out = io.BytesIO()
    write(reader_of(), out)
    assert write is jsonl or out.getvalue()


def test_a_table_of_very_many_rows_is_written_as_they_come() -> None:
    out = io.BytesIO()
    given = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(5):
            given.append(out.tell())
            last = 10**9 if number == 4 else 1
            yield pa.record_batch(
                {"n": [last] * MEASURED, "text": ["late and long" if number else "a"] * MEASURED}
            )

    schema = pa.schema({"n": pa.int64(), "text": pa.string()})
    table(pa.RecordBatchReader.from_batches(schema, batches()), out)
    assert given[-1] > given[1] > 0, "what came first is written before the last is asked for"
    lines = out.getvalue().decode().splitlines()
    assert lines[:2] == ["n  text", "1  a"]
    assert lines[-3:] == ["1000000000  late", "   and", "   long"]


def test_who_stops_reading_a_table_finds_the_stream_as_it_was() -> None:
    class Gone(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

    out = Gone()
    with pytest.raises(BrokenPipeError):
        table(reader_of(*HOSTILE), out)
    assert not out.closed

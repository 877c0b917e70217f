"""The registered domain of every name, and the label statistics that detectors ask for.

The Public Suffix List (publicsuffix.org, by the publicsuffixlist package) is compiled once into a hash table,
so that no relation parses a name row by row.
"""

from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from publicsuffixlist import PublicSuffixList

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import domain as kernel
from dnsonde.wire.batch import Batch

NAME_FACTS = np.dtype(
    [
        ("domain_start", "i4"),  # where the registered domain begins in the text; -1: none
        ("search", "i4"),  # characters left of it, or of in-addr.arpa and ip6.arpa, for wire.embedded
        ("sub_bytes", "i4"),  # characters left of it, without the dot between
        ("sub_hash", "i8"),  # of those characters; 0: none
        ("entropy", "f8"),  # of those characters without dots, bits a character (Shannon)
        ("labels", "i2"),
        ("label_max", "i2"),  # characters of the longest label
        ("digits", "i2"),
    ],
    align=True,
)


def name_facts(names: Batch) -> NDArray[np.void]:
    """One `NAME_FACTS` row for each name.

    names: texts in lower-case RFC 1035 presentation form without the last dot ("." or "" is the root).
    """
    table = _rules()
    out = np.zeros(len(names), NAME_FACTS)
    scratch = np.zeros((2, 256), np.int32)
    kernel.name_facts(
        frozen(names.data, np.uint8), names.offset, names.length, *table, scratch[0], scratch[1], out
    )
    return out


def registered_domains(names: Batch, facts: NDArray[np.void]) -> pa.StringArray:
    """The registered domains as text, null where there is none; `facts` as `name_facts` gave them."""
    has = facts["domain_start"] >= 0
    start = names.offset + facts["domain_start"]
    length = np.where(has, names.length - facts["domain_start"], 0).astype(np.int32)
    return texts(names.data, start, length, valid=has)


def texts(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    *,
    valid: NDArray[np.bool_] | None = None,
) -> pa.StringArray:
    """Slices of a buffer of ASCII as an Arrow array; null where `valid` is False."""
    count = len(start)
    out = np.empty(int(length.sum()), np.uint8)
    offsets = np.zeros(count + 1, np.int32)
    kernel.gather(frozen(data, np.uint8), start, length, out, offsets[1:])
    mask = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(out), mask)


def warm() -> None:
    """Compile this module's kernels."""
    names = Batch.of([b"www.example.com"])
    registered_domains(names, name_facts(names))


@cache
def _rules() -> tuple[NDArray[np.uint64], NDArray[np.uint8], int]:
    kinds: dict[int, int] = {}
    depth = 1
    rules = PublicSuffixList()._publicsuffix  # noqa: SLF001 - the parsed rules have no public name
    for rule in rules:
        kind = kernel.NORMAL
        text = rule
        if rule.startswith("!"):
            kind, text = kernel.EXCEPTION, rule[1:]
        elif rule.startswith("*."):
            kind, text = kernel.WILDCARD, rule[2:]
        depth = max(depth, text.count(".") + 1)
        key = _hash(text.encode())
        kinds[key] = kinds.get(key, 0) | kind
    size = 1 << (2 * len(kinds)).bit_length()
    hashes = np.zeros(size, np.uint64)
    bits = np.zeros(size, np.uint8)
    for key, kind in kinds.items():
        slot = key & (size - 1)
        while hashes[slot]:
            slot = (slot + 1) & (size - 1)
        hashes[slot], bits[slot] = key, kind
    return hashes, bits, depth


def _hash(text: bytes) -> int:
    state = int(kernel.SEED)
    for octet in reversed(text):
        state = ((state ^ octet) * int(kernel.FNV)) & 0xFFFF_FFFF_FFFF_FFFF
    state = ((state ^ (state >> 32)) * int(kernel.MIX)) & 0xFFFF_FFFF_FFFF_FFFF
    return (state ^ (state >> 32)) or 1

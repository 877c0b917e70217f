"""The registered domain of every name, and the label statistics that detectors ask for.

The Public Suffix List (publicsuffix.org, by the publicsuffixlist package) is compiled once into a hash table,
so that no relation parses a name row by row.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from publicsuffixlist import PSLFILE

from dnsonde.wire._arrays import frozen
from dnsonde.wire._kernels import domain as kernel
from dnsonde.wire.batch import Batch
from dnsonde.wire.text import gather

NAME_FACTS = np.dtype(
    [
        ("domain_start", "i4"),  # where the registered domain begins in the text; -1: none
        ("search", "i4"),  # characters left of it, or of in-addr.arpa and ip6.arpa, for wire.embedded
        ("sub_bytes", "i4"),  # octets left of it, without the dot between
        ("sub_hash", "i8"),  # of the text left of it; 0: none
        ("entropy", "f8"),  # of those octets without dots, bits an octet (Shannon)
        ("labels", "i2"),
        ("label_max", "i2"),  # octets of the longest label
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
    out = gather(data, start, length)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(length, out=offsets[1:])
    mask = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(out), mask)


def warm() -> None:
    """Compile this module's kernels."""
    names = Batch.of([b"www.example.com"])
    registered_domains(names, name_facts(names))


@cache
def _rules() -> tuple[NDArray[np.uint64], NDArray[np.uint8], int]:
    """The list as the kernel wants it: hashes, kinds, and the most labels of a rule."""
    kinds: dict[bytes, int] = {}
    for line in Path(PSLFILE).read_text(encoding="utf-8").splitlines():
        rule = line.split(" ", 1)[0].strip().lower()
        if not rule or rule.startswith("//"):
            continue
        kind = kernel.NORMAL
        if rule.startswith("!"):
            kind, rule = kernel.EXCEPTION, rule[1:]
        elif rule.startswith("*."):
            kind, rule = kernel.WILDCARD, rule[2:]
        if not rule.isascii():  # the list is normalised already, which is most of the work of IDNA
            rule = ".".join(
                label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
                for label in rule.split(".")
            )
        key = rule.encode()
        kinds[key] = kinds.get(key, 0) | kind
    size = 1 << (2 * len(kinds)).bit_length()
    hashes, bits = [0] * size, [0] * size
    for code, kind in zip(_hashes(list(kinds)).tolist(), kinds.values(), strict=True):
        slot = code & (size - 1)
        while hashes[slot]:
            slot = (slot + 1) & (size - 1)
        hashes[slot], bits[slot] = code, kind
    depth = max(rule.count(b".") for rule in kinds) + 1
    return np.array(hashes, np.uint64), np.array(bits, np.uint8), depth


def _hashes(texts: list[bytes]) -> NDArray[np.uint64]:
    """The hash of each text as the kernel counts it, from its end; all texts an octet at a time."""
    length = np.array([len(text) for text in texts])
    octets = np.zeros((length.max(), len(texts)), np.uint64)
    for number, text in enumerate(texts):
        octets[: len(text), number] = np.frombuffer(text, np.uint8)[::-1]
    state = np.full(len(texts), kernel.SEED)
    for at, column in enumerate(octets):
        state = np.where(at < length, (state ^ column) * kernel.FNV, state)
    state = (state ^ (state >> kernel.HALF)) * kernel.MIX
    state ^= state >> kernel.HALF
    return np.where(state == 0, np.uint64(1), state)

"""Columns to messages: probes, known-name queries and responses (RFC 1035, 6891, 7873), a batch a call.

Each fills the caller's rows `out` (n, stride) and `length` (n,), as `net.udp` sends them.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from dnsonde.wire._arrays import frozen, rows
from dnsonde.wire._kernels import message_encode as kernel
from dnsonde.wire.batch import ADDRESS, Batch
from dnsonde.wire.codes import Class, Flag, Type
from dnsonde.wire.message import MESSAGE, RECORD_SPEC, REPLY_SPEC
from dnsonde.wire.name import ProbeNames, probe_ids, secret, show_name, spread

HEADER = 12
LONGEST_TARGET = 46  # octets of an IPv6 target's label


def encode_probes(
    names: ProbeNames,
    out: NDArray[np.uint8],
    length: NDArray[np.int32],
    targets: NDArray[np.void],
    attempt: ArrayLike,
    kind: int,
    step: int,
    qtype: int,
    key: bytes,
    run: str,
    edns_size: int,
) -> None:
    """One query a target (`ADDRESS` rows), named after it: RD set, class IN; with `edns_size` 0 no OPT.

    The id is `name.probe_ids` of the tag. `attempt` is one for all or one each. ValueError where rows are too short
    or too few, or an argument is out of its range.
    """
    n = len(targets)
    tail = names.tail(run, kind, step) + _question_end(qtype) + _opt(edns_size)
    flat = rows(out[:n], length, HEADER + LONGEST_TARGET + len(tail) if n else 0)
    if len(out) < n or len(length) < n:
        raise ValueError(f"{min(len(out), len(length))} rows for {n} targets")
    spelt = names.spelt(targets)
    if spelt is not None:
        ids = probe_ids(names.tags(key, run, targets, attempt, kind))
        _encode_spelt(out, length, spelt, ids, _question_end(qtype) + _opt(edns_size))
        return
    kernel.encode_probes(
        flat,
        out.shape[1],
        length,
        frozen(targets, ADDRESS),
        spread(attempt, n),
        int(kind),
        *secret(key, run),
        1 if edns_size else 0,
        frozen(np.frombuffer(tail, np.uint8), np.uint8),
    )


def probe_text(
    names: ProbeNames,
    targets: NDArray[np.void],
    attempt: ArrayLike,
    kind: int,
    step: int,
    key: bytes,
    run: str,
) -> tuple[pa.StringArray, NDArray[np.uint64]]:
    """The names that `encode_probes` asks for, in presentation form, and their tags."""
    n = len(targets)
    spelt = names.spelt(targets)
    if spelt is not None:
        return pa.array(map(show_name, spelt), pa.string()), names.tags(key, run, targets, attempt, kind)
    tail = f".{show_name(names.tail(run, kind, step))}".encode()
    out = np.empty(n * (LONGEST_TARGET - 1 + len(tail)), np.uint8)
    ends, tags = np.empty(n + 1, np.int32), np.empty(n, np.uint64)
    written = kernel.probe_text(
        frozen(targets, ADDRESS),
        spread(attempt, n),
        int(kind),
        *secret(key, run),
        frozen(np.frombuffer(tail, np.uint8), np.uint8),
        out,
        ends,
        tags,
    )
    return pa.StringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(out[:written])), tags


def encode_fixed(
    out: NDArray[np.uint8],
    length: NDArray[np.int32],
    qname_wire: bytes,
    qtype: int,
    ids: NDArray[np.uint16],
    edns_size: int,
) -> None:
    """One query an id, all for the same name (uncompressed wire form): RD set, class IN, OPT unless `edns_size` is 0.

    ValueError where rows are too short or too few.
    """
    n = len(ids)
    header = np.array([0, Flag.RD, 1, 0, 0, 1 if edns_size else 0], ">u2").tobytes()
    query = header + qname_wire + _question_end(qtype) + _opt(edns_size)
    if len(out) < n or len(length) < n or (n and out.shape[1] < len(query)):
        raise ValueError(f"{len(out)} rows of {out.shape[1]} octets for {n} queries of {len(query)}")
    out[:n, : len(query)] = np.frombuffer(query, np.uint8)
    out[:n, 0] = ids >> 8
    out[:n, 1] = ids & 0xFF
    length[:n] = len(query)


def encode_responses(
    requests: Batch,
    messages: NDArray[np.void],
    replies: NDArray[np.void],
    records: NDArray[np.void],
    blob: NDArray[np.uint8],
    out: NDArray[np.uint8],
    length: NDArray[np.int32],
) -> None:
    """One response a request: `REPLY_SPEC` rows aligned with the `MESSAGE` rows, `RECORD_SPEC` rows, octets in `blob`.

    The id and the first question are copied, the question octet for octet (its 0x20 case comes back); DO is copied
    where there is an OPT (RFC 3225, 3). Answer or authority data that do not fit set TC and leave the records out;
    additional data that do not fit are left out (RFC 2181, 9); the OPT record always stays. Its extended error is
    left out, with TC, where records leave no room for it (RFC 8914, 3), and its NSID is left out silently. A request
    without a whole header, and a reply with `drop`, gives length 0. ValueError, after all rows are done, where a
    specification points outside its arrays or a row has no room for its question.
    """
    n = len(requests)
    if not len(messages) == len(replies) == n or len(out) < n or len(length) < n:
        raise ValueError(
            f"{len(messages)} messages, {len(replies)} replies, {len(out)} rows for {n} requests"
        )
    wrong = kernel.encode_responses(
        frozen(requests.data, np.uint8),
        frozen(requests.offset, np.int64),
        frozen(messages, MESSAGE),
        frozen(replies, REPLY_SPEC),
        frozen(records, RECORD_SPEC),
        frozen(blob, np.uint8),
        rows(out, length, HEADER if n else 0),
        out.shape[1],
        length,
    )
    if wrong >= 0:
        raise ValueError(
            f"the reply of row {wrong} points outside its arrays, or has no room for its question"
        )


def warm() -> None:
    """Compile each kernel once."""
    out, length = np.zeros((1, 512), np.uint8), np.zeros(1, np.int32)
    encode_probes(
        ProbeNames("example"), out, length, np.zeros(1, ADDRESS), 1, 0, 0, Type.A, bytes(16), "0" * 8, 0
    )
    probe_text(ProbeNames("example"), np.zeros(1, ADDRESS), 1, 0, 0, bytes(16), "0" * 8)
    requests = Batch.rows(out.copy(), length.copy())
    nothing = np.zeros(0, np.uint8)
    encode_responses(
        requests,
        np.zeros(1, MESSAGE),
        np.zeros(1, REPLY_SPEC),
        np.zeros(0, RECORD_SPEC),
        nothing,
        out,
        length,
    )


def _encode_spelt(
    out: NDArray[np.uint8], length: NDArray[np.int32], spelt: list[bytes], ids: NDArray[np.uint16], end: bytes
) -> None:
    """One query a name, one by one: for names that no kernel knows."""
    for row, (name, number) in enumerate(zip(spelt, ids.tolist(), strict=True)):
        header = np.array([number, Flag.RD, 1, 0, 0, int(len(end) > 4)], ">u2").tobytes()
        query = header + name + end
        if len(query) > out.shape[1]:
            raise ValueError(f"a row of {out.shape[1]} octets for a query of {len(query)}")
        out[row, : len(query)] = np.frombuffer(query, np.uint8)
        length[row] = len(query)


def _question_end(qtype: int) -> bytes:
    return qtype.to_bytes(2, "big") + int(Class.IN).to_bytes(2, "big")


def _opt(edns_size: int) -> bytes:
    """An OPT record without options (RFC 6891, 6.1.2), or none for size 0."""
    if edns_size == 0:
        return b""
    return b"\0" + int(Type.OPT).to_bytes(2, "big") + edns_size.to_bytes(2, "big") + bytes(6)

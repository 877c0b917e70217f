"""What the authority answers: a batch of questions in, a batch of reply specifications out. Pure.

The shape of each answer comes from tables (`layout`); only what a table cannot hold is made here: what we
saw of an asker, a TXT of the asked size, and one step of a chain.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnsonde.authority.layout import ANSWER, HEADER, Layout, Shape
from dnsonde.authority.saw import saw_texts
from dnsonde.wire.batch import Batch
from dnsonde.wire.choose import EGRESS, choose_replies
from dnsonde.wire.codes import Class, Type
from dnsonde.wire.cookie import COOKIE, server_cookies
from dnsonde.wire.message import RECORD_SPEC

# Services that answer whatever reaches them, so that a query "from" them is spoofed or starts a loop. Only
# ports below 1024: a forwarder's random source port must never be one of them.
LOOP_PORTS = (0, 7, 13, 17, 19, 37, 123, 137, 161, 389)
CLOSED = np.isin(np.arange(1 << 16), LOOP_PORTS)
CLOSED.flags.writeable = False  # as the kernel wants it

SIZE_OPT = 11  # octets of an OPT record without options (RFC 6891, 6.1.2)
SIZE_RR = 12  # octets of a record before its rdata, its name a pointer

FILL = b"This text only fills a DNS measurement up to the size it asked for. "


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator may turn.

    amplification: an asker by UDP that has proved its address by no cookie gets at most this many times its
    own octets, else TC=1 (1.5 or more, else not even that fits); udp_octets: our own EDNS size;
    per_second: answers to one /24 or /48 by unproven UDP, None for no limit.
    """

    amplification: float = 3.0
    udp_octets: int = 1232
    per_second: float | None = 5000.0

    def __post_init__(self) -> None:
        if self.amplification < 1.5:
            raise ValueError("amplification: below 1.5 even a truncated answer with a cookie would not fit")
        if not 512 <= self.udp_octets <= 4096:
            raise ValueError("udp_octets: between 512 and 4096 (RFC 6891, 6.2.5)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What `wire.encode.encode_responses` needs, and what a sighting tells.

    replies: REPLY_SPEC (n,); records: RECORD_SPEC; blob: uint8; shape: uint8 (n,); verified: bool (n,), the
    asker proved its address by a server cookie of ours.
    """

    replies: NDArray[np.void]
    records: NDArray[np.void]
    blob: NDArray[np.uint8]
    shape: NDArray[np.uint8]
    verified: NDArray[np.bool_]


def answer(
    requests: Batch,
    messages: NDArray[np.void],
    parsed: NDArray[np.void],
    peers: NDArray[np.void],
    *,
    layout: Layout,
    policy: Policy,
    secret: bytes,
    now_s: int,
    tcp: bool = False,
) -> Answer:
    """Answer up to `layout.rows` requests.

    messages: MESSAGE (n,); parsed: PROBE_NAME (n,); peers: DATAGRAM (n,); secret: 16 octets that make server
    cookies; now_s: UNIX time. A request that gets no answer has `drop` set.
    """
    n = len(messages)
    blob = layout.blob.copy()
    room = blob[layout.cookies : layout.cookies + n * COOKIE].reshape(n, COOKIE)
    verified = np.zeros(n, np.bool_)
    if messages["cookie_length"].any():
        verified = server_cookies(requests, messages, peers["net"], peers["host"], secret, now_s, room)
    replies, shape, rare = choose_replies(
        requests,
        messages,
        parsed,
        peers,
        verified,
        tables=layout.tables,
        closed_ports=CLOSED,
        tcp=tcp,
        udp_octets=policy.udp_octets,
        amplification=policy.amplification,
        cookies=layout.cookies,
        nsid=layout.nsid,
        egress=blob[layout.egress : layout.egress + n * EGRESS],
    )
    for control in layout.controls:
        at_control = (peers["host"] == control["host"]) & (peers["net"] == control["net"])
        if at_control.any():  # the asker's own address is the control: no record twice (RFC 2181, 5)
            told = at_control & np.isin(shape, (Shape.PAIR4, Shape.PAIR6))
            replies["record_count"][told] = np.minimum(replies["record_count"][told], 1)
    records = layout.records
    if rare:
        made = _Made(layout, blob, [])
        transport = "tcp" if tcp else "udp"
        _add_saw(made, messages, peers, verified, transport, replies, np.flatnonzero(shape == Shape.SAW))
        _add_sizes(
            made, parsed["step"], messages["question_end"], replies, np.flatnonzero(shape == Shape.SIZE)
        )
        _add_chains(made, requests, replies, np.flatnonzero(shape == Shape.CHAIN))
        blob, records = made.done()
    return Answer(replies, records, blob, shape, verified)


def _octets(requests: Batch, rows: NDArray[np.intp], size: int) -> NDArray[np.uint8]:
    """The first `size` octets of these rows' questions, (rows, size); the caller knows that they are there."""
    octets: NDArray[np.uint8] = requests.data[requests.offset[rows][:, None] + (HEADER + np.arange(size))]
    return octets


@dataclass(slots=True)
class _Made:
    """Records and octets made for one batch, behind those of the layout."""

    layout: Layout
    blob: NDArray[np.uint8]
    parts: list[tuple[NDArray[np.void], NDArray[np.uint8]]]

    def add(
        self,
        rtype: int,
        rdata: NDArray[np.uint8],
        start: NDArray[np.int64],
        length: NDArray[np.int64],
        replies: NDArray[np.void],
        rows: NDArray[np.intp],
    ) -> None:
        """One answer record for each of `rows`, whose rdata lies at `start` of `rdata`."""
        before = len(self.blob) + sum(len(part) for _, part in self.parts)
        number = len(self.layout.records) + sum(len(part) for part, _ in self.parts)
        records = np.zeros(len(rows), RECORD_SPEC)
        records["section"] = ANSWER
        records["name_start"] = -1
        records["type"] = rtype
        records["class"] = Class.IN
        records["ttl"] = self.layout.ttl_s
        records["rdata_start"] = start + before
        records["rdata_length"] = length
        replies["first_record"][rows] = number + np.arange(len(rows))
        replies["record_count"][rows] = 1
        self.parts.append((records, rdata))

    def done(self) -> tuple[NDArray[np.uint8], NDArray[np.void]]:
        """The blob and the records, whole."""
        blob = np.concatenate([self.blob, *(octets for _, octets in self.parts)])
        return blob, np.concatenate([self.layout.records, *(records for records, _ in self.parts)])


def _add_saw(
    made: _Made,
    messages: NDArray[np.void],
    peers: NDArray[np.void],
    verified: NDArray[np.bool_],
    transport: str,
    replies: NDArray[np.void],
    rows: NDArray[np.intp],
) -> None:
    if len(rows):
        texts, start, length = saw_texts(messages[rows], peers[rows], verified[rows], transport)
        made.add(Type.TXT, texts, start, length, replies, rows)


def _add_sizes(
    made: _Made,
    asked: NDArray[np.uint16],
    question_end: NDArray[np.uint16],
    replies: NDArray[np.void],
    rows: NDArray[np.intp],
) -> None:
    """TXT records that make the whole messages as large as asked, or as small as they can be."""
    if len(rows) == 0:
        return
    cookie = replies["cookie_length"][rows].astype(np.int64)
    opt = np.where(replies["edns"][rows], SIZE_OPT + np.where(cookie, cookie + 4, 0), 0)
    rest = asked[rows].astype(np.int64) - question_end[rows] - SIZE_RR - opt
    nsid = replies["nsid_length"][rows].astype(np.int64)
    nsid = np.where(nsid, nsid + 4, 0)
    crowded = rest <= nsid  # the size that was asked for comes first
    replies["nsid_length"][rows[crowded]] = 0
    rest -= np.where(crowded, 0, nsid)
    wanted, which = np.unique(np.maximum(rest, 1), return_inverse=True)
    texts = [filler(int(size)) for size in wanted]
    start = np.cumsum([0, *wanted[:-1]])
    made.add(Type.TXT, np.concatenate(texts), start[which], wanted[which], replies, rows)


def _add_chains(made: _Made, requests: Batch, replies: NDArray[np.void], rows: NDArray[np.intp]) -> None:
    """CNAME to the same name with one step less: first label, new kind label, pointer to the rest."""
    first = requests.data[requests.offset[rows] + HEADER]
    for size in np.unique(first):
        some = rows[first == size]
        head = int(size) + 1
        rdata = np.empty((len(some), head + 5), np.uint8)
        rdata[:, : head + 3] = _octets(requests, some, head + 3)
        digit = rdata[:, head + 2]
        # Hexadecimal, any case: `a` and `A` step down to 9.
        digit[:] = np.where((digit | 0x20) == 0x61, 0x39, digit - 1)
        rdata[:, head + 3 :] = np.frombuffer((0xC000 | HEADER + head + 3).to_bytes(2), np.uint8)
        start = np.arange(len(some)) * rdata.shape[1]
        made.add(Type.CNAME, rdata.reshape(-1), start, np.full(len(some), rdata.shape[1]), replies, some)


@lru_cache(256)
def filler(octets: int) -> NDArray[np.uint8]:
    """TXT rdata of exactly so many octets, 1 or more (RFC 1035, 3.3.14)."""
    text = FILL * (255 // len(FILL) + 1)
    sizes = [255] * (octets // 256) + ([octets % 256 - 1] if octets % 256 else [])
    return np.frombuffer(b"".join(bytes([size]) + text[:size] for size in sizes), np.uint8)

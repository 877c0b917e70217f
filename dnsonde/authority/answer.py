"""What the authority answers: a batch of questions in, a batch of reply specifications out. Pure.

The shape of each answer comes from tables (`layout`); only what a table cannot hold is made here: what we
saw of an asker, a TXT of the asked size, and one step of a chain.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnsonde.authority.layout import ANSWER, ASKS, EGRESS, HEADER, Ask, Layout, Shape
from dnsonde.authority.saw import saw_texts
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Class, Flag, Status, Type
from dnsonde.wire.cookie import COOKIE, server_cookies
from dnsonde.wire.message import RECORD_SPEC, REPLY_SPEC
from dnsonde.wire.name import Kind, NameStatus

# Services that answer whatever reaches them, so that a query "from" them is spoofed or starts a loop. Only
# ports below 1024: a forwarder's random source port must never be one of them.
LOOP_PORTS = (0, 7, 13, 17, 19, 37, 123, 137, 161, 389)

SIZE_OPT = 11  # octets of an OPT record without options (RFC 6891, 6.1.2)
SIZE_OPT_COOKIE = 4 + COOKIE
SIZE_RR = 12  # octets of a record before its rdata, its name a pointer

FILL = b"This text only fills a DNS measurement up to the size it asked for. "


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator may turn.

    amplification: an asker by UDP that has proved its address by no cookie gets at most this many times its
    own octets, else TC=1 (1.5 or more, else not even that fits); udp_octets: our own EDNS size;
    per_second and burst: answers to one /24 or /48 by unproven UDP, None for no limit; slip: every slip-th
    answer over the limit is TC=1, so that a victim's own resolver still gets through (0: none);
    ports: source ports that are never answered.
    """

    amplification: float = 3.0
    udp_octets: int = 1232
    per_second: float | None = 5000.0
    burst: int = 20_000
    slip: int = 2
    ports: tuple[int, ...] = LOOP_PORTS

    def __post_init__(self) -> None:
        if self.amplification < 1.5:
            raise ValueError("amplification: below 1.5 even a truncated answer with a cookie would not fit")
        if not 512 <= self.udp_octets <= 4096:
            raise ValueError("udp_octets: between 512 and 4096 (RFC 6891, 6.2.5)")


@lru_cache(8)
def closed_ports(ports: tuple[int, ...]) -> NDArray[np.bool_]:
    """Of all 65,536 ports, whether they are among `ports`."""
    closed = np.zeros(1 << 16, np.bool_)
    closed[list(ports)] = True
    return closed


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
    net, host = peers["net"], peers["host"]
    v6 = (net != 0) | ((host >> 32) != 0xFFFF)
    ask = ASKS.take(messages["qtype"])
    kind = parsed["kind"].copy()
    kind[(kind == Kind.CHAIN) & (parsed["step"] == 0)] = Kind.SWEEP
    key = ((parsed["status"].astype(np.intp) * len(Kind) + kind) * len(Ask) + ask) * 2 + v6
    shape = layout.keys.take(key, mode="clip")

    flags = messages["flags"]
    cookied = messages["cookie_length"] > 0
    plain = (
        (messages["status"] == Status.OK)
        & ((flags & 0xF800) == 0)
        & (messages["qdcount"] == 1)
        & (messages["qclass"] == Class.IN)
        & (messages["edns_version"] <= 0)
        & ~cookied
    )
    unknown = parsed["status"] >= NameStatus.UNKNOWN
    if unknown.any():
        _fixed_names(requests, messages, ask, shape, layout, Class.IN, unknown)
    if not plain.all():
        _unusual(requests, messages, ask, shape, layout)
    if not tcp:
        shape[closed_ports(policy.ports).take(peers["port"])] = Shape.DROP

    blob = layout.blob.copy()
    own = blob[layout.egress : layout.egress + n * EGRESS].view(">i8").reshape(n, 2)
    own[:, 0], own[:, 1] = net, host
    verified = np.zeros(n, np.bool_)
    if cookied.any():
        cookies = blob[layout.cookies : layout.cookies + n * COOKIE].reshape(n, COOKIE)
        verified = server_cookies(requests, messages, net, host, secret, now_s, cookies)

    edns = (messages["edns_version"] >= 0) & (messages["status"] == Status.OK)
    replies = np.zeros(n, REPLY_SPEC)
    if tcp:
        limit = np.full(n, 0xFFFF, np.int64)
    else:
        limit = np.where(edns, np.clip(messages["edns_size"], 512, policy.udp_octets), 512)
        unproven = np.minimum(limit, (requests.length * policy.amplification).astype(np.int64))
        limit = np.where(verified, limit, unproven)
    base = messages["question_end"] + np.where(
        edns, np.where(cookied, SIZE_OPT + SIZE_OPT_COOKIE, SIZE_OPT), 0
    )
    sized = shape == Shape.SIZE
    if sized.any():
        least = np.maximum(parsed["step"], base + SIZE_RR + 1)
        shape[sized & (least > limit)] = Shape.TRUNCATED

    chosen = layout.shapes.take(shape)
    offset = messages["question_end"].astype(np.int32) - (layout.zone_length + 4)
    first = chosen["first"] + chosen["per_offset"] * offset
    first += chosen["per_row"] * np.arange(n, dtype=np.int32)

    replies["flags"] = (flags & (0x7800 | Flag.RD | Flag.CD)) | Flag.QR | chosen["flags"]
    replies["rcode"] = chosen["rcode"]
    replies["first_record"] = first
    replies["record_count"] = chosen["count"]
    replies["limit"] = limit
    replies["edns"] = edns
    replies["edns_size"] = policy.udp_octets
    replies["cookie_start"] = layout.cookies + np.arange(n) * COOKIE
    replies["cookie_length"] = np.where(cookied, COOKIE, 0)
    replies["drop"] = shape == Shape.DROP
    records = layout.records
    rare = (shape >= Shape.SAW) & (shape <= Shape.CHAIN)
    if rare.any():
        transport = "tcp" if tcp else "udp"
        made = _Made(layout, blob, [])
        _add_saw(made, messages, peers, verified, transport, replies, np.flatnonzero(shape == Shape.SAW))
        rows = np.flatnonzero(shape == Shape.SIZE)
        _add_sizes(made, parsed["step"][rows] - base[rows] - SIZE_RR, replies, rows)
        _add_chains(made, requests, replies, np.flatnonzero(shape == Shape.CHAIN))
        blob, records = made.done()
    return Answer(replies, records, blob, shape, verified)


def _unusual(
    requests: Batch,
    messages: NDArray[np.void],
    ask: NDArray[np.uint8],
    shape: NDArray[np.uint8],
    layout: Layout,
) -> None:
    """Correct the shape of whatever is no ordinary question; what is tested last weighs most."""
    flags, questions, version = messages["flags"], messages["qdcount"], messages["edns_version"]
    cookie = messages["cookie_length"]
    qclass = messages["qclass"]
    shape[qclass != Class.IN] = Shape.REFUSED
    chaos = qclass == Class.CH
    if chaos.any():
        _fixed_names(requests, messages, ask, shape, layout, Class.CH, chaos)
    shape[version > 0] = Shape.BADVERS
    # A cookie is 8 octets, or 16 to 40 (RFC 7873, 5.2.2); a query has one question (RFC 9619).
    odd = (cookie > 0) & ((cookie < 8) | ((cookie > 8) & (cookie < 16)) | (cookie > 40))
    odd |= questions > 1
    shape[odd] = Shape.FORMERR
    shape[questions == 0] = Shape.FORMERR
    shape[(questions == 0) & (cookie > 0) & ~odd & (version == 0)] = Shape.EMPTY
    status = messages["status"]
    shape[status != Status.OK] = Shape.FORMERR
    shape[(flags & 0x7800) != 0] = Shape.NOTIMP
    shape[((flags & Flag.QR) != 0) | (status == Status.SHORT_HEADER)] = Shape.DROP


def _fixed_names(
    requests: Batch,
    messages: NDArray[np.void],
    ask: NDArray[np.uint8],
    shape: NDArray[np.uint8],
    layout: Layout,
    qclass: int,
    where: NDArray[np.bool_],
) -> None:
    """Give the names known by heart their shapes, whatever their case."""
    length = messages["qname_length"]
    for fixed in layout.fixed:
        if fixed.qclass != qclass:
            continue
        size = len(fixed.wire)
        rows = np.flatnonzero(where & (length == size))
        if len(rows) == 0:
            continue
        octets = _octets(requests, rows, size)
        # Only letters: 0x20 would make other octets equal that are not.
        lower = np.where((octets >= 0x41) & (octets <= 0x5A), octets | 0x20, octets)
        rows = rows[(lower == fixed.wire).all(axis=1)]
        shape[rows] = fixed.shapes[ask[rows]]


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
    made: _Made, octets: NDArray[np.int64], replies: NDArray[np.void], rows: NDArray[np.intp]
) -> None:
    if len(rows):
        wanted, which = np.unique(np.maximum(octets, 1), return_inverse=True)
        texts = [filler(int(size)) for size in wanted]
        start = np.cumsum([0, *(len(t) for t in texts[:-1])])
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

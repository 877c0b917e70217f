"""The twin of `_kernels/replied.py`: one datagram at a time, by the decoder, the grammar and the keyed tag."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

ANSWERED, ICMP, MISMATCHED, FORGED, MALFORMED = range(5)
NO_KIND = 255

Row = dict[str, Any]
Pair = tuple[int, int]


def address_of(pair: Pair) -> IPv4Address | IPv6Address:
    whole = (pair[0] & (1 << 64) - 1) << 64 | pair[1] & (1 << 64) - 1
    address = ip_address(whole.to_bytes(16, "big"))
    assert isinstance(address, IPv6Address)
    return address.ipv4_mapped or address


def read(
    payload: bytes,
    message: Mapping[str, Any],
    name: Mapping[str, Any],
    peer: Pair,
    *,
    targets: Sequence[Pair],
    control: Sequence[Pair],
    tag: Any,
    run: int,
    qtype: int,
    attempts: int,
    known: bytes,
    quoted: bool,
) -> Row:
    """The row of one datagram.

    message and name: what the decoder and the name codec say of it; targets: the scope; tag(address, attempt, kind);
    known: lower-case wire form, or empty.
    """
    row: Row = {"outcome": MISMATCHED, "kind": NO_KIND, "attempt": 0, "index": -1, "target": (0, 0)}
    intact = False

    def belongs(target: Pair, kind: int, attempt: int) -> None:
        row.update(
            outcome=ANSWERED, kind=kind, attempt=attempt, index=list(targets).index(target), target=target
        )

    def by_id(number: int) -> None:
        if peer not in targets:
            return
        row["outcome"] = FORGED
        for attempt in range(1, attempts + 1):
            secret = tag(address_of(peer), attempt, 0)
            if (secret ^ secret >> 16 ^ secret >> 32) & 0xFFFF == number:
                belongs(peer, 0, attempt)

    whole = message["status"] == 0
    if whole and known:
        end = 12 + len(known)
        asked = payload[12:end].lower() == known and message["question_end"] == end + 4
        if asked or message["qdcount"] == 0:
            intact = True
            by_id(message["id"])
    elif whole and message["qdcount"] == 0:
        by_id(message["id"])
    elif whole:
        intact = not message["mixed_case"]
        if name["status"] == 0 and name["run"] == run:
            target = name["target"]
            if name["tag"] != tag(address_of(target), name["attempt"], name["kind"]):
                row["outcome"] = FORGED
            elif target in targets:
                belongs(target, name["kind"], name["attempt"])
    if quoted:
        if row["outcome"] == MISMATCHED and len(payload) >= 2:
            by_id(int.from_bytes(payload[:2], "big"))
        row["outcome"] = ICMP if row["outcome"] == ANSWERED else MISMATCHED
        return row | {"decoded": False}
    if not whole:
        return row | {"outcome": MALFORMED, "decoded": False}
    kept = list(zip(message["address_net"], message["address_host"], strict=True))[: message["address_count"]]
    others = [pair for pair in kept if pair not in control]
    one, two = [*others, (0, 0), (0, 0)][:2]
    right = message["qdcount"] == 1 and message["qclass"] == 1
    return row | {
        "decoded": True,
        "rcode": message["rcode"],
        "flags": message["flags"],
        "records": message["ancount"],
        "answers": message["address_count"],
        "control": len(others) < len(kept),
        "others": message["address_count"] - (len(kept) - len(others)),
        "answer1": one,
        "answer2": two,
        "authority_ns": message["authority_ns"]
        if row["outcome"] == ANSWERED and not message["ancount"]
        else 0,
        "ttl_min": message["ttl_min"],
        "ede": message["ede"],
        "edns_size": message["edns_size"] if message["edns_version"] >= 0 else -1,
        "question_intact": intact and right and (message["qtype"] == qtype or row["kind"] == 2),
    }


def lesson(row: Mapping[str, Any], last: int) -> tuple[bool, bool, bool]:
    """(conclusive, proven, plain) of one row."""
    if row["kind"] != 0:
        return False, False, False
    if row["outcome"] == ICMP:
        finals = {3: (2, 3, 9, 10, 13)} if address_of(row["target"]).version == 4 else {1: (1, 4, 5, 6)}
        return row["icmp_code"] in finals.get(row["icmp_type"], ()), False, False
    if row["outcome"] != ANSWERED:
        return False, False, False
    response = row["flags"] & 0x8000 != 0
    proven = response and row["rcode"] == 0 and row["control"]
    plain = response and row["attempt"] < last and row["rcode"] in {1, 4, 16}
    cut = row["flags"] & 0x0200 != 0 and row["answers"] == 0
    return not (plain or cut or row["rcode"] == 2), proven, plain

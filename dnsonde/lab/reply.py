"""What hosts answer on their own account: lies, refusals, referrals. Pure."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.behavior import Act, Trait
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Class, Flag, Type
from dnsonde.wire.encode import encode_responses
from dnsonde.wire.message import RECORD_SPEC, REPLY_SPEC
from dnsonde.wire.name import parse_name

_TTL_S = 300
_EDNS_SIZE = 1232
_LEAST_LIMIT = 512


class Composer:
    """Writes answers of the hosts' own; `control` are the two addresses (IPv4, IPv6) that the authority adds."""

    def __init__(self, control: tuple[bytes, bytes]) -> None:
        # Records that do not differ between hosts come first: root servers, an alias, the controls.
        blob = bytearray(b"\0")
        records: list[tuple[int, ...]] = []

        def record(section: int, name: int, name_length: int, rtype: int, rdata: bytes) -> None:
            records.append((section, name, name_length, rtype, Class.IN, _TTL_S, len(blob), len(rdata)))
            blob.extend(rdata)

        for letter in "ab":
            record(2, 0, 1, Type.NS, parse_name(f"{letter}.root-servers.net"))
        record(1, -1, 0, Type.CNAME, parse_name("blocked.invalid"))
        record(1, -1, 0, Type.A, control[0])
        record(1, -1, 0, Type.AAAA, control[1])
        self._blob = np.frombuffer(bytes(blob), np.uint8)
        self._records = np.array(records, RECORD_SPEC)

    def write(
        self,
        requests: Batch,
        messages: NDArray[np.void],
        act: NDArray[np.uint8],
        hosts: NDArray[np.void],
        out: NDArray[np.uint8],
        length: NDArray[np.int32],
    ) -> None:
        """Write each host's answer to its request into a row of `out` (n, width) and its `length`.

        messages: MESSAGE (n,); act: `behavior.Act` (n,), not RELAY, ECHO or ICMP; hosts: HOST (n,).
        """
        n = len(act)
        qtype = messages["qtype"]
        four, six = qtype == Type.A, qtype == Type.AAAA
        replies = np.zeros(n, REPLY_SPEC)
        rcode = np.where(act >= 16, act - 16, 0)
        ra = np.where(hosts["traits"] & Trait.RA, Flag.RA, 0)
        tc = np.where(act == Act.TRUNCATED, Flag.TC, 0)
        replies["flags"] = Flag.QR | (messages["flags"] & (0x7800 | Flag.RD | Flag.CD)) | ra | tc
        replies["rcode"] = rcode
        edns = messages["edns_version"] >= 0
        replies["edns"] = edns & ((hosts["traits"] & (Trait.EDNS | Trait.NO_EDNS)) == Trait.EDNS)
        replies["edns_size"] = _EDNS_SIZE
        replies["limit"] = np.where(edns, np.maximum(messages["edns_size"], _LEAST_LIMIT), _LEAST_LIMIT)

        # Each row has two records of its own: an address of its choice, then the IPv4 control.
        base, static = len(self._blob), len(self._records)
        told = np.where(act == Act.CACHED, hosts["egress"], hosts["lie"])
        blob = np.concatenate([self._blob, told.astype(">u4").view(np.uint8)])
        own = np.zeros((n, 2), RECORD_SPEC)
        own["section"], own["name_start"], own["type"], own["class"] = 1, -1, Type.A, Class.IN
        own["ttl"], own["rdata_length"] = _TTL_S, 4
        own["rdata_start"][:, 0] = base + 4 * np.arange(n)
        own[:, 1] = self._records[3]
        records = np.concatenate([self._records, own.reshape(-1)])

        lies = (act == Act.LIE) | (act == Act.LIE_BESIDE) | (act == Act.CACHED)
        pair = (act == Act.LIE_BESIDE) | (act == Act.CACHED)
        first = static + 2 * np.arange(n)
        count = np.where(lies & four, 1 + pair, 0)
        first, count = np.where(pair & six, 4, first), np.where(pair & six, 1, count)
        first, count = np.where(act == Act.REFERRAL, 0, first), np.where(act == Act.REFERRAL, 2, count)
        first, count = np.where(act == Act.ALIAS, 2, first), np.where(act == Act.ALIAS, 1, count)
        replies["first_record"], replies["record_count"] = first, count
        encode_responses(requests, messages, replies, records, blob, out, length)

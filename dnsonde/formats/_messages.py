"""DNS messages with their packets to rows of table `message`."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.formats._columns import record_batch, words
from dnsonde.formats._contract import Options
from dnsonde.formats._names import name_columns
from dnsonde.table.schema import MESSAGE
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Flag
from dnsonde.wire.decode import decode_messages, name_text, octet_text

UDP, TCP, MDNS, UNKNOWN = range(4)
TRANSPORTS = ["udp", "tcp", "mdns", "unknown"]

FLAGS = {"aa": Flag.AA, "tc": Flag.TC, "rd": Flag.RD, "ra": Flag.RA, "ad": Flag.AD, "cd": Flag.CD}


def message_batch(
    batch: Batch,
    *,
    file: str,
    packet: NDArray[np.int64],
    time_us: NDArray[np.int64],
    transport: NDArray[np.int8],
    address: dict[str, NDArray[np.int64]],
    more: dict[str, Any],
    options: Options,
) -> pa.RecordBatch:
    """One row a message of the batch.

    transport: index into `TRANSPORTS`; address: columns src_net, src_host, dst_net, dst_host; more: the other
    columns that only the reader knows (ports, link-layer address, IP facts).
    """
    rows = decode_messages(batch)
    headed = batch.length >= 12
    asked = headed & (rows["qname_length"] > 0)
    flags = rows["flags"]
    response = (flags & Flag.QR) != 0
    edns = rows["edns_version"] >= 0
    ecs = rows["ecs_family"] > 0
    answered = rows["address_count"] > 0
    qname = name_text(batch, rows, lower=True)
    columns: dict[str, Any] = {
        "time_us": time_us,
        "file": file,
        "packet": packet,
        "transport": words(transport, TRANSPORTS),
        **address,
        **more,
        "dns_bytes": batch.length,
        "status": rows["status"],
        "id": (rows["id"], headed),
        "response": response,
        "opcode": rows["opcode"],
        "rcode": (rows["rcode"], headed & response),
        **{name: (flags & bit) != 0 for name, bit in FLAGS.items()},
        **{name: rows[name] for name in ("qdcount", "ancount", "nscount", "arcount")},
        "qname": qname,
        "mixed_case": rows["mixed_case"],
        "qtype": (rows["qtype"], asked),
        "qclass": (rows["qclass"], asked),
        "edns_size": (rows["edns_size"], edns),
        "edns_do": ((rows["edns_flags"] & 0x8000) != 0, edns),
        "ecs_net": (rows["ecs"]["net"], ecs),
        "ecs_host": (rows["ecs"]["host"], ecs),
        "ecs_source": (rows["ecs_source"], ecs),
        "cookie": rows["cookie_length"] > 0,
        "nsid": _nsid(batch, rows),
        "ede": (rows["ede"], rows["ede"] >= 0),
        "answers": rows["address_count"],
        "answer_net": (rows["address_net"][:, 0], answered),
        "answer_host": (rows["address_host"][:, 0], answered),
        "answer_hash": rows["answer_hash"],
        "ttl_min": (rows["ttl_min"], rows["ttl_min"] >= 0),
    }
    annotate = options.annotate or name_columns
    columns |= annotate(qname, address, time_us)
    return record_batch(MESSAGE, len(batch), columns)


def _nsid(batch: Batch, rows: NDArray[np.void]) -> pa.Array:
    has = rows["nsid_length"] > 0
    if not has.any():
        return pa.nulls(len(rows), pa.string())
    text = octet_text(batch, rows["nsid_start"], rows["nsid_length"])
    return pa.Array.from_buffers(
        pa.string(), len(rows), [pa.py_buffer(np.packbits(has, bitorder="little")), *text.buffers()[1:]]
    )

"""Messages to columns: DNS on the wire (RFC 1035, 6891, 7871, 7873, 8914) to `MESSAGE` and `RECORD` rows."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.wire._arrays import frozen, parts
from dnsonde.wire._kernels import message_decode as kernel
from dnsonde.wire._kernels.answers import SCRATCH
from dnsonde.wire.batch import Batch
from dnsonde.wire.codes import Status
from dnsonde.wire.message import MESSAGE, RECORD


def decode_messages(batch: Batch, out: NDArray[np.void] | None = None) -> NDArray[np.void]:
    """Decode each message of the batch: one `MESSAGE` row each, its `status` not 0 where it is malformed.

    What was read before a fault stays in the row. `out` (contiguous MESSAGE rows, at least as many) is filled and
    returned cut to the batch, so that a loop need not allocate; ValueError where it does not fit.
    """
    n = len(batch)
    if out is None:
        out = np.zeros(n, MESSAGE)
    elif out.dtype != MESSAGE or len(out) < n or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be writeable, contiguous MESSAGE rows, one a message")
    else:
        out = out[:n]
        out.view(np.uint8).fill(0)
    kernel.decode_messages(*parts(batch), out, np.empty(SCRATCH, np.uint8))
    return out


def decode_records(batch: Batch, messages: NDArray[np.void]) -> NDArray[np.void]:
    """Every resource record of the messages that are OK, as `RECORD` rows in wire order, OPT included.

    `messages` are the batch's own rows; ValueError where they are not.
    """
    if len(messages) != len(batch):
        raise ValueError(f"{len(messages)} rows for {len(batch)} messages")
    good = messages["status"] == Status.OK
    total = sum(int(messages[section].sum(where=good)) for section in ("ancount", "nscount", "arcount"))
    out = np.zeros(total, RECORD)
    if kernel.decode_records(*parts(batch), frozen(messages, MESSAGE), out) != total:
        raise ValueError("these rows do not belong to this batch")
    return out


def warm() -> None:
    """Compile each kernel once."""
    batch = Batch.of([b"\0" * 12])
    decode_records(batch, decode_messages(batch))

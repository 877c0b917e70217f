"""DNS messages with their packets to rows of table `message`."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.formats._columns import record_batch, words
from dnsonde.formats._contract import Options
from dnsonde.formats._names import repeated_name_columns
from dnsonde.table.schema import MESSAGE
from dnsonde.wire.batch import Batch
from dnsonde.wire.columns import message_columns

UDP, TCP, MDNS, UNKNOWN = range(4)
TRANSPORTS = ["udp", "tcp", "mdns", "unknown"]


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
    columns that only the reader knows (ports, link-layer address, IP facts; sizes, where the batch has other ones).
    """
    told = message_columns(batch)
    columns: dict[str, Any] = {
        "time_us": time_us,
        "file": file,
        "packet": packet,
        "transport": words(transport, TRANSPORTS),
        **address,
        "dns_bytes": batch.length,
        **more,
        "qname": pa.DictionaryArray.from_arrays(pa.array(told.index), told.name),
        **told.column,
        **repeated_name_columns(told.name, told.index, address, time_us),
    }
    return record_batch(MESSAGE, len(batch), columns, repeating=options.repeating)

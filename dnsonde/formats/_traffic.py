"""Packets to rows: DNS over UDP and TCP to `message`, all of them to `flow`, each one accounted for."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.formats._columns import record_batch
from dnsonde.formats._contract import Account, Options, Tables
from dnsonde.formats._elsewhere import Elsewhere
from dnsonde.formats._messages import MDNS, TCP, UDP, message_batch
from dnsonde.table.schema import FLOW
from dnsonde.wire.batch import MAPPED, Batch
from dnsonde.wire.capture import Chunk
from dnsonde.wire.codes import PacketStatus
from dnsonde.wire.columns import PacketColumns, Sorter
from dnsonde.wire.flow import Meter, flow_columns
from dnsonde.wire.packet import PACKET, Link, decode_packets
from dnsonde.wire.segments import Fragments, Packets, Streams

FIRST_MALFORMED = 16
UDP_PROTOCOL = 17
IP4, IP6, UDP_HEADER = 20, 40, 8  # octets of headers without options

Decoded = tuple[Chunk, Batch, NDArray[np.void]]
"""A chunk, its octets as a batch, and its packets as PACKET rows."""


class Traffic:
    """One file's, or one interface's, packets; what is unfinished is kept from chunk to chunk, in bounds."""

    def __init__(self, account: Account, options: Options) -> None:
        self._account = account
        self._options = options
        self._sorter = Sorter(options.ports, options.mdns_ports)
        # Of this chunk and the next, used again: fresh memory costs more than decoding.
        self._rows = [np.empty(0, PACKET), np.empty(0, PACKET)]
        self._meter = Meter(options.window_s * 1_000_000)
        self._fragments = Fragments()
        self._streams = Streams()
        self._elsewhere = Elsewhere((*options.ports, *options.mdns_ports))
        self._cut = False  # the capture keeps less of packets than there was

    def decode(self, chunk: Chunk) -> Decoded:
        """A chunk's packets, valid until the next but one is decoded; may run beside `add` of the one before."""
        batch, entry = chunk.batch, chunk.entry
        rows = self._rows.pop()
        if len(rows) < len(entry):
            rows = np.empty(len(entry), PACKET)
        self._rows.insert(0, rows)
        return chunk, batch, decode_packets(batch, entry["linktype"], original=entry["original"], out=rows)

    def add(self, decoded: Decoded) -> Tables:
        """The rows that these packets make, and that earlier ones waited with."""
        chunk, batch, row = decoded
        entry = chunk.entry
        short = row["short"] != 0
        if short.any():
            self._cut = True
            row["payload_length"][short & (row["status"] == PacketStatus.SHORT_TRANSPORT)] = 0
        time_us = self._account.dated(np.ascontiguousarray(entry["time_us"]))
        number = np.arange(chunk.first, chunk.first + len(entry), dtype=np.int64)
        have = Packets(batch, row, time_us, number)
        status = np.zeros(256, np.int64)
        datagrams, segments, fragments = self._sorter.sort(row, status)
        self._count(status, time_us)
        if "flow" in self._options.tables:
            for flows in self._meter.add(batch, row, time_us):
                yield from self._flows(flows)
        if "message" not in self._options.tables:
            return
        in_tcp = have.take(segments)
        joined = self._reassemble(have.take(fragments))
        yield from self._datagrams(have, datagrams)
        if len(joined):
            datagrams, segments, _ = self._sorter.sort(joined.row, np.zeros(256, np.int64))
            in_tcp = Packets.join(in_tcp, joined.take(segments))
            yield from self._datagrams(joined, datagrams)
        yield from self._in_streams(*self._streams.add(in_tcp))

    def finish(self) -> Tables:
        """The rows of what was still waiting; ends the account."""
        yield from self._in_streams(*self._streams.finish())
        for flows in self._meter.finish():
            yield from self._flows(flows)
        self._fragments.finish()
        account = self._account
        for status, count in (
            (PacketStatus.OVERLAP, self._fragments.overlapping),
            (PacketStatus.UNFINISHED, self._fragments.unfinished),
        ):
            if count:
                account.parsed -= count
                account.malformed[status.name.lower()] += count
        if self._streams.lost:
            account.note(f"octets of {self._streams.lost:,} TCP streams on DNS ports are missing or no DNS")
        account.note(self._elsewhere.note(account.messages))

    def _count(self, status: NDArray[np.int64], time_us: NDArray[np.int64]) -> None:
        for value in np.flatnonzero(status).tolist():
            count = int(status[value])
            if value == PacketStatus.PARSED:
                self._account.parsed += count
            elif value < FIRST_MALFORMED:
                self._account.ignored[PacketStatus(value).name.lower()] += count
            else:
                self._account.malformed[PacketStatus(value).name.lower()] += count
        self._account.saw(int(time_us.min()), int(time_us.max()))

    def _reassemble(self, fragments: Packets) -> Packets:
        """Datagrams whose last fragment has come, as packets."""
        batch, time_us, number = self._fragments.add(fragments)
        if not len(batch):
            return Packets.none()
        joined = Packets(batch, decode_packets(batch, Link.RAW), time_us, number)
        good = joined.row["status"] == PacketStatus.PARSED
        bad = int((~good).sum())
        if bad:  # the datagram as a whole is malformed, of which its packets cannot tell
            self._account.note(f"{bad:,} reassembled datagrams are malformed")
        return joined.where(good)

    def _datagrams(self, packets: Packets, which: NDArray[np.int32]) -> Tables:
        if len(which):
            told = self._told(packets, which)
            yield from self._messages(told.payload, told, np.where(told.mdns, MDNS, UDP).astype(np.int8))

    def _in_streams(self, batch: Batch, packets: Packets) -> Tables:
        if len(batch):
            told = self._told(packets, np.arange(len(batch), dtype=np.int32))
            yield from self._messages(batch, told, np.full(len(batch), TCP, np.int8))

    def _told(self, packets: Packets, which: NDArray[np.int32]) -> PacketColumns:
        return self._sorter.columns(packets.row, packets.batch, packets.time_us, packets.number, which)

    def _messages(self, batch: Batch, packets: PacketColumns, transport: NDArray[np.int8]) -> Tables:
        self._account.messages += len(batch)
        yield (
            "message",
            message_batch(
                batch,
                file=self._account.file,
                packet=packets.number,
                time_us=packets.time_us,
                transport=transport,
                address=packets.address,
                more=packets.column,
                options=self._options,
            ),
        )

    def _flows(self, rows: NDArray[np.void]) -> Tables:
        self._elsewhere.add(rows)
        yield "flow", flow_batch(rows, self._account.file, cut=self._cut, repeating=self._options.repeating)


def flow_batch(
    rows: NDArray[np.void], file: str, *, cut: bool = False, repeating: bool = False
) -> pa.RecordBatch:
    """`wire.flow.FLOW` rows as table `flow`; cut: of payloads only the beginnings were captured."""
    if cut:
        rows["payload_bytes"] = _stated_payload(rows)
    of, payload = flow_columns(rows)
    ports, source = of.pop("ports"), of.pop("src_mac")
    ip4 = (of["ip_id"] >= 0) & (of["ip_id"] <= 0xFFFF) & (of["src_net"] == 0)
    columns = {
        **{name: values for name, values in of.items() if name != "when"},
        "file": file,
        "protocol": ports >> 32,
        "src_port": ports >> 16 & 0xFFFF,
        "dst_port": ports & 0xFFFF,
        "src_mac": (source, source > 0),  # all zeros are nobody's
        "length_mean": of["bytes"] / of["packets"],
        "window": (of["window"], of["window"] >= 0),
        "ip_id": (of["ip_id"], ip4),
        "payload": payload,
        "inner_protocol": (of["inner_protocol"], of["inner_protocol"] >= 0),
        "inner_id": (of["inner_id"], (of["inner_id"] >= 0) & (of["inner_id"] <= 0xFFFF)),
    }
    return record_batch(FLOW, len(rows), columns, repeating=repeating)


def _stated_payload(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Payload octets of flows whose packets were cut: of UDP, what the IP headers say; of others, what is there."""
    protocol = rows["ports"] >> 32
    header = (
        np.where((rows["src_net"] == 0) & (rows["src_host"] >> 32 == MAPPED >> 32), IP4, IP6) + UDP_HEADER
    )
    stated = rows["bytes"] - rows["packets"] * header
    whole = (protocol == UDP_PROTOCOL) & (rows["fragments"] == 0)
    return np.where(whole, np.maximum(stated, rows["payload_bytes"]), rows["payload_bytes"])

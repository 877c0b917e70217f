"""How fast a capture becomes tables, beside peers given by path.

    python benchmarks/bench_read.py [--messages N] [--peer tshark] [--peer packetq=PATH]

A seeded pcap of DNS over UDP is written once to a temporary folder; then it is read to a full `message` Parquet
by one process, and by each peer to what it can do nearest: tshark `-T fields`, PacketQ to CSV. One core each.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dnsonde.formats._contract import Options
from dnsonde.formats._reading import Reading
from dnsonde.table.schema import MESSAGE
from dnsonde.table.store import encoding

SEED = 20261122
WORDS = ("www", "mail", "api", "cdn", "static", "login", "img", "ns1", "edge", "app")
FIELDS = (
    "frame.time_epoch", "ip.src", "ip.dst", "udp.srcport", "udp.dstport", "ip.ttl", "ip.id", "dns.id", "dns.flags",
    "dns.qry.name", "dns.qry.type", "dns.resp.type", "dns.a", "dns.resp.ttl", "dns.count.answers",
)  # fmt: skip


def query(qname: str, number: int) -> bytes:
    """A query with an OPT record, as resolvers send them."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in qname.split(".")) + b"\0"
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    return number.to_bytes(2, "big") + b"\x01\0\0\x01\0\0\0\0\0\x01" + name + b"\0\x01\0\x01" + opt


def response(qname: str, number: int, address: bytes) -> bytes:
    """Its answer: one A record."""
    asked = query(qname, number)
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04" + address
    return asked[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\x01" + asked[12:-11] + answer + asked[-11:]


def write_capture(path: Path, messages: int) -> None:
    """Queries and answers between 50,000 clients and a few servers, half of each."""
    chance = np.random.default_rng(SEED)
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    with path.open("wb") as file:
        file.write(head)
        for start in range(0, messages, 2):
            number = int(chance.integers(65536))
            domain = int(chance.zipf(1.3)) % 200_000
            qname = f"{WORDS[domain % 10]}{domain % 97}.example-{domain}.{('com', 'net', 'co.uk', 'org')[domain % 4]}"
            client = (0x0A00_0000 + int(chance.integers(50_000))).to_bytes(4, "big")
            server = (0xC000_0200 + int(chance.integers(4))).to_bytes(4, "big")
            port = int(chance.integers(1024, 65536))
            for answer in (False, True):
                dns = response(qname, number, server) if answer else query(qname, number)
                ends = (server, client) if answer else (client, server)
                ports = (53, port) if answer else (port, 53)
                length = 28 + len(dns)
                ip = b"\x45\0" + length.to_bytes(2, "big") + number.to_bytes(2, "big") + b"\0\0\x40\x11\0\0"
                udp = (
                    b"".join(p.to_bytes(2, "big") for p in ports) + (length - 20).to_bytes(2, "big") + b"\0\0"
                )
                frame = bytes.fromhex("0200000000010200000000020800") + ip + ends[0] + ends[1] + udp + dns
                micros = start * 5 + answer * 300
                stamp = (1_700_000_000 + micros // 1_000_000, micros % 1_000_000, len(frame), len(frame))
                file.write(b"".join(field.to_bytes(4, "little") for field in stamp) + frame)


def read(path: Path, folder: Path) -> int:
    """Messages written as Parquet."""
    count = 0
    how = encoding(MESSAGE)
    with pq.ParquetWriter(folder / "message.parquet", MESSAGE.schema, compression="zstd", **how) as writer:
        for _, batch in Reading(path, Options(tables=("message",))):
            count += batch.num_rows
            writer.write_batch(batch)
    return count


def main() -> None:
    """Print one line for each, and the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--peer", action="append", default=[], help="tshark, or packetq=PATH")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "dns.pcap"
        write_capture(capture, asked.messages)
        read(capture, Path(folder))  # compiles what is not compiled, and warms the cache
        start = time.perf_counter()
        count = read(capture, Path(folder))
        ours = count / (time.perf_counter() - start)
        megabytes = capture.stat().st_size / 1e6
        print(f"{count:,} messages of a pcap of {megabytes:,.0f} MB to `message` Parquet")
        last = f"ours {ours:,.0f} messages/s"
        for peer in asked.peer:
            name, _, program = peer.partition("=")
            start = time.perf_counter()
            run_peer(name, program or name, capture)
            theirs = asked.messages / (time.perf_counter() - start)
            last = (
                f"ratio: {ours / theirs:.1f} (ours {ours:,.0f} messages/s, {name} {theirs:,.0f} messages/s)"
            )
            print(last)
        if not asked.peer:
            print(last)


def run_peer(name: str, program: str, capture: Path) -> None:
    """Read the capture with another program, its output thrown away."""
    if name == "tshark":
        fields = [part for field in FIELDS for part in ("-e", field)]
        command = [program, "-r", str(capture), "-T", "fields", *fields]
    else:
        command = [program, "-s", "select * from dns", "--csv", str(capture)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

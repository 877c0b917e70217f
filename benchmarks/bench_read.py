"""How fast a capture becomes tables, beside peers given by path, and in how much memory.

    python benchmarks/bench_read.py [--messages N] [--peer tshark] [--peer packetq=PATH]
    python benchmarks/bench_read.py --packets N
    python benchmarks/bench_read.py --memory 10 --memory 100 --memory 1000 --memory 10000

A seeded pcap of DNS over UDP is written once to a temporary folder; then it is read to a full `message` Parquet by one
process, one thread reading and one writing, and by each peer to what it can do nearest: tshark `-T fields`, PacketQ to
CSV. `--packets` reads mixed traffic into flows instead; `--memory` takes megabytes of capture, fed to `dnsonde ingest`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from dnsonde.formats._contract import Options
from dnsonde.formats._reading import Reading
from dnsonde.table.schema import MESSAGE
from dnsonde.table.store import ROWS_PER_GROUP, parquet_writer
from dnsonde.wire.capture import ENTRY, index_pcap

SEED = 20261122
HEAD = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")  # of a pcap file, Ethernet
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
    with path.open("wb") as file:
        file.write(HEAD)
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


def write_mixed(path: Path, packets: int) -> None:
    """TCP, UDP and SYN scans of 50,000 flows, some of them much larger than others."""
    chance = np.random.default_rng(SEED)
    flow = chance.zipf(1.15, packets) % 50_000
    size = np.where(chance.random(packets) < 0.4, 0, chance.integers(0, 1000, packets)).tolist()
    client, port = (
        chance.integers(0, 20_000, 50_000)[flow].tolist(),
        chance.integers(1024, 65536, 50_000)[flow].tolist(),
    )
    server, kind = chance.integers(0, 30_000, 50_000)[flow].tolist(), chance.random(50_000)[flow].tolist()
    with path.open("wb") as file:
        file.write(HEAD)
        for i in range(packets):
            source, target = (
                (0x0A00_0000 + client[i]).to_bytes(4, "big"),
                (0xC633_6400 + server[i]).to_bytes(4, "big"),
            )
            ports = port[i].to_bytes(2, "big") + (443).to_bytes(2, "big")
            if kind[i] < 0.7:
                body = ports + i.to_bytes(4, "big") + bytes(4) + b"\x50\x18\x04\0\0\0\0\0" + bytes(size[i])
            elif kind[i] < 0.9:
                body = ports + (8 + size[i]).to_bytes(2, "big") + b"\0\0" + bytes(size[i])
            else:
                body = ports + target + bytes(4) + b"\x50\x02\x04\0\0\0\0\0"
            protocol = 17 if 0.7 <= kind[i] < 0.9 else 6
            ip = (
                b"\x45\0"
                + (20 + len(body)).to_bytes(2, "big")
                + (i & 0xFFFF).to_bytes(2, "big")
                + b"\0\0\x40"
            )
            frame = bytes(12) + b"\x08\0" + ip + bytes([protocol, 0, 0]) + source + target + body
            stamp = (1_700_000_000 + i // 20_000, i % 20_000 * 50, len(frame), len(frame))
            file.write(b"".join(field.to_bytes(4, "little") for field in stamp) + frame)


def row_groups(path: Path) -> Iterator[pa.Table]:
    """The capture's messages, as many at a time as one row group holds."""
    waiting: list[pa.RecordBatch] = []
    for _, batch in Reading(path, Options(tables=("message",), repeating=True)):
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= ROWS_PER_GROUP:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


def joined(batches: list[pa.RecordBatch]) -> pa.Table:
    """Batches with dictionaries of their own as one table with one of each."""
    return pa.Table.from_batches(batches).unify_dictionaries()


def read(path: Path, folder: Path) -> int:
    """Messages written as Parquet: a group is written while the next one is read."""
    count = 0
    writing: Future[None] | None = None
    with (
        parquet_writer(folder / "message.parquet", MESSAGE, dictionaries=True) as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        for group in row_groups(path):
            if writing:
                writing.result()
            writing = pool.submit(writer.write_table, group, row_group_size=group.num_rows)
            count += group.num_rows
        if writing:
            writing.result()
    return count


def meter(path: Path) -> int:
    """Packets decoded and counted into flow rows."""
    reading = Reading(path)
    for _ in reading:
        pass
    return reading.account.packets


def timed(what: str, job: Callable[[], int], runs: int = 3) -> float:
    """Print the best of some runs; how many a second of wall time."""
    job()  # compiles what is not compiled, and warms the cache
    best = (float("inf"), float("inf"))
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        count = job()
        best = min(best, (time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = best
    print(f"{count:,} {what}: {count / wall:,.0f} a second, {count / processor:,.0f} a second of one core")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return count / wall


def repeated(octets: bytes, times: int) -> Iterator[bytes]:
    """A capture so many times over, each a second after the one before."""
    yield HEAD
    data = np.frombuffer(octets, np.uint8)[len(HEAD) :].copy()
    entry = np.zeros(len(data) // 16, ENTRY)
    count, _, _ = index_pcap(data, len(data), entry, big=False, nano=False, header=16, most=1 << 18)
    seconds = entry["offset"][:count, None] - 16 + np.arange(4)
    for _ in range(times):
        yield data.tobytes()
        data[seconds] = (data[seconds].view("<u4") + 1).view(np.uint8)


def measure_memory(folder: Path, megabytes: list[int]) -> None:
    """Print the most memory that `dnsonde ingest` needs for so much of a capture on its standard input."""
    seed, messages = folder / "seed.pcap", 60_000
    write_capture(seed, messages)
    octets = seed.read_bytes()
    for size in megabytes:
        times = max(1, size * 1_000_000 // len(octets))
        command = [sys.executable, "-m", "dnsonde", "ingest", "-", "-o", str(folder / f"lake-{size}")]
        start = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
            assert child.stdin is not None
            for piece in repeated(octets, times):
                child.stdin.write(piece)
            child.stdin.close()
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"ingest ended with {child.returncode}")
        rate = times * messages / (time.perf_counter() - start)
        lake = sum(part.stat().st_size for part in (folder / f"lake-{size}").rglob("*.parquet"))
        shutil.rmtree(folder / f"lake-{size}")
        print(
            f"{size:,} MB, {times * messages:,} messages: at most {used.ru_maxrss / 1024:,.0f} MiB; "
            f"{rate:,.0f} messages/s into a lake of {lake / 1e6:,.0f} MB",
            flush=True,
        )


def main() -> None:
    """Print one line for each, and the ratio last."""
    parser = argparse.ArgumentParser(description="How fast a capture becomes tables, beside peers.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--packets", type=int, default=0, help="measure mixed traffic of so many packets")
    parser.add_argument("--memory", type=int, action="append", default=[], metavar="MB")
    parser.add_argument("--peer", action="append", default=[], help="tshark, or packetq=PATH")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = folder / "capture.pcap"
        if asked.memory:
            measure_memory(folder, asked.memory)
        elif asked.packets:
            write_mixed(capture, asked.packets)
            print(f"ours {timed('packets into flows', lambda: meter(capture)):,.0f} packets/s")
        else:
            write_capture(capture, asked.messages)
            ours = timed("messages of DNS to `message` Parquet", lambda: read(capture, folder))
            compare(ours, asked.messages, asked.peer, capture)


def compare(ours: float, messages: int, peers: list[str], capture: Path) -> None:
    """Print how much faster we are than each."""
    for peer in peers:
        name, _, program = peer.partition("=")
        start, before = time.perf_counter(), os.times()
        run_peer(name, program or name, capture)
        theirs, after = messages / (time.perf_counter() - start), os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{name}: {theirs:,.0f} a second, {messages / spent:,.0f} a second of one core")
        print(f"ratio: {ours / theirs:.1f} (ours {ours:,.0f} messages/s, {name} {theirs:,.0f} messages/s)")
    if not peers:
        print(f"ours {ours:,.0f} messages/s")


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

"""The table of hosts of a run: milliseconds until a page is there, from Parquet to HTML.

A run of so many verdicts is written, in two slices each in the order of its targets as `dnsonde join` leaves them, and
pages of its table are asked for without a socket: the first and the last, filtered, by text, and sorted by each column
both ways. What was counted before is not counted again, as for a visitor who pages; `first` says what the first
question after a change costs, which opens the run and counts. `processor` is what the median page takes of all cores
together. The last line has the slowest page.

    bench_web.py [--hosts 1000000] [--repeats 5]
"""

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from starlette.testclient import TestClient

from dnsonde.clock import SystemClock
from dnsonde.hosts import SORTS
from dnsonde.table.schema import VERDICT
from dnsonde.table.store import ROWS_PER_GROUP, Writer
from dnsonde.web._app import application
from dnsonde.web._site import Site
from dnsonde.wire.batch import address_pair

FIRST = address_pair("20.0.0.0")[1]
TOKEN = "only for this benchmark"  # noqa: S105 - it guards nothing
SHARES = {"silent": 0.7, "refused": 0.1, "recursive_forwarder": 0.1, "recursive_resolver": 0.05,
          "transparent_forwarder": 0.04, "manipulated": 0.01}  # fmt: skip
WHY = {
    "silent": "Nothing came back.",
    "refused": "It refused (REFUSED); our authority was not asked.",
    "recursive_forwarder": "The right answer, and our authority was asked by {} other addresses.",
    "recursive_resolver": "The right answer, and our authority was asked by the same address.",
    "transparent_forwarder": "The reply came from another address, to which it passes queries on.",
    "manipulated": "It answered with {} wrong addresses; our authority was not asked.",
}
PLAN = """\
[scope]
prefixes = ["20.0.0.0/8"]
[identity]
contact = "noc@example.net"
description = "ours"
[zone]
known = "www.campus.edu"
answer = "9.9.9.80"
"""


def write_run(folder: Path, hosts: int, seed: int = 1) -> None:
    """A run of so many hosts, one address after the other, seven of ten silent."""
    random = np.random.default_rng(seed)
    names = np.array(list(SHARES))
    number = random.choice(len(names), hosts, p=list(SHARES.values()))
    kind = names[number]
    opened = (number >= 2) & (number < 5)
    heard = number > 0
    slices = np.array_split(random.permutation(hosts), 2)
    host = FIRST + np.concatenate([np.sort(one) for one in slices])
    behind = FIRST + random.zipf(1.3, hosts) % 5000
    octets = random.integers(60, 4000, hosts).astype(np.int32)
    zeros = np.zeros(hosts, np.int64)
    reasons = [WHY[k].format(n % 7) for k, n in zip(kind.tolist(), host.tolist(), strict=True)]
    folder.mkdir(parents=True)
    (folder / "plan.toml").write_text(PLAN)
    rows = {
        "target_net": zeros, "target_host": host, "class": pa.array(kind), "confidence": np.full(hosts, 0.98),
        "open": opened, "egress_net": (zeros, opened), "egress_host": (behind, opened),
        "egress_count": opened.astype(np.int32), "responder_net": (zeros, heard),
        "responder_host": (np.where(number == 4, behind, host), heard),
        "rcode": (np.where(number == 1, 5, 0).astype(np.int32), heard), "ra": (opened, heard),
        "attempts": np.ones(hosts, np.int32), "replies": heard.astype(np.int32),
        "sightings": opened.astype(np.int32), "query_bytes": np.full(hosts, 60, np.int32),
        "response_bytes": (octets, heard), "amplification": (octets / 60, heard),
        "rtt_us": (random.integers(100, 300_000, hosts), heard),
        "first_seen_us": (1_700_000_000_000_000 + random.integers(0, 10**9, hosts), heard),
        "why": pa.array(reasons),
    }  # fmt: skip
    with Writer(VERDICT, folder) as writer:
        for start in range(0, hosts, ROWS_PER_GROUP):
            here = slice(start, start + ROWS_PER_GROUP)
            writer.append({
                name: tuple(half[here] for half in given) if isinstance(given, tuple) else given[here]
                for name, given in rows.items()
            })  # fmt: skip


def questions() -> dict[str, str]:
    """What is asked of the table, by what it is called."""
    listed = {
        "first page": "show=all", "last page": "show=all&last=1", "answered": "", "open": "show=open",
        "one class": "class=refused", "one /24": "show=all&prefix=20.0.3.0/24", "an address": "show=all&text=20.0.1.7",
        "words": "text=wrong+addresses",
    }  # fmt: skip
    for name in SORTS:
        for way, down in (("up", ""), ("down", "1")):
            listed[f"by {name}, {way}"] = f"show=all&sort={name}&down={down}"
    return listed


def measure(web: TestClient, path: str, repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each of so many askings, and of processor; each goes one page on where there is one."""
    took, used = [], []
    for _ in range(repeats):
        began, before = time.perf_counter(), time.process_time()
        answer = web.get(path)
        took.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - before))
        assert answer.status_code == 200, answer.text
        onward = re.search(r'rel="next" href="([^"]+)"', answer.text)
        path = onward[1].replace("&amp;", "&") if onward else path
    return took, used


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Pages of a table of hosts.")
    parser.add_argument("--hosts", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_run(folder / "run", asked.hosts)
        size = sum(part.stat().st_size for part in folder.rglob("*.parquet"))
        print(
            f"a run of {asked.hosts:,} hosts, {size / 1e6:.0f} MB; each page and the next ones, {asked.repeats} times"
        )
        site = Site(folder, SystemClock(), token=TOKEN)
        worst = 0.0
        with TestClient(application(site), base_url="http://127.0.0.1") as web:
            web.get("/static/style.css")
            print(f"{'page':24} {'first':>9} {'median':>9} {'slowest':>9} {'processor':>9}  ms")
            for name, query in questions().items():
                (first,), _used = measure(web, f"/hosts/run?{query}", 1)
                took, used = measure(web, f"/hosts/run?{query}", asked.repeats)
                worst = max(worst, statistics.median(took))
                middle, processor = statistics.median(took), statistics.median(used)
                print(f"{name:24} {first:9.0f} {middle:9.0f} {max(took):9.0f} {processor:9.0f}")
    print(f"ours {worst:.0f} ms")


if __name__ == "__main__":
    main()

"""How long the first run after installation compiles: every kernel, from nothing.

    .venv/bin/python benchmarks/bench_cold.py [--measuring | --reading] [MODULE ...]

It is everything; or what measuring needs, which is all that a first `dnsonde probe` waits for; or what reading traffic
needs, for which a first `dnsonde detect` waits; or the modules of `dnsonde.wire` that are named. Compiled code goes to
a folder that is thrown away, or to NUMBA_CACHE_DIR.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence


def main(modules: Sequence[str], work: str) -> None:
    # Numba reads its settings as it is imported.
    from dnsonde.compile import MEASURING, READING, compile_all  # noqa: PLC0415

    began = time.perf_counter()
    last = began

    def told(done: int, total: int, module: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if done:
            print(f"{done:2d} of {total}  {now - began:5.1f} s  {module}")
        last = now

    if not compile_all(told, modules or {"measuring": MEASURING, "reading": READING}.get(work)):
        print("everything is compiled already")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime + time.process_time()
    print(f"{cpu:.1f} s of processor time on {len(os.sched_getaffinity(0))} processors")
    print(f"ours {last - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    work = parser.add_mutually_exclusive_group()
    for name, what in (("measuring", "probing, answering and the lab"), ("reading", "reading traffic")):
        work.add_argument(
            f"--{name}", dest="work", action="store_const", const=name, default="", help=f"what {what} needs"
        )
    parser.add_argument("modules", metavar="MODULE", nargs="*")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        os.environ.setdefault("NUMBA_CACHE_DIR", fresh)
        main(chosen.modules, chosen.work)

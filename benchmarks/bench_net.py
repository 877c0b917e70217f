"""The bare ceiling: what this machine's loopback gives to two processes that do nothing but move datagrams.

One process sends from `dnsonde.net.udp` to addresses all over 127.0.0.0/8, the other sends each payload back
from the address that was asked. Nothing is encoded, decoded, paced or written.

    python benchmarks/bench_net.py [--seconds 3] [--octets 60] [--batch 512] [--window 2048]
"""

import argparse
import multiprocessing
import time
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np

from dnsonde.errors import SystemRefusal
from dnsonde.net.udp import Udp, warm
from dnsonde.wire.batch import MAPPED

_FIRST = 0x7F01_0000  # 127.1.0.0
_HOSTS = 1 << 16


def echo(port: Any, stop: Event, batch: int) -> None:
    """Send every datagram back from the address it was sent to, until `stop`; tell its port."""
    warm()
    with Udp("0.0.0.0", batch=batch, device="lo") as udp:
        port.value = udp.port
        while not stop.is_set():
            if not udp.wait(20_000):
                continue
            while count := udp.receive():
                longest = int(udp.rx["length"][:count].max())
                udp.tx[:count] = udp.rx[:count]
                udp.tx_data[:count, :longest] = udp.rx_data[:count, :longest]
                done = udp.send(count)
                while done < count:
                    udp.wait(1_000, writable=True)
                    done += udp.send(count, done)


def ceiling(seconds: float = 3.0, *, octets: int = 60, batch: int = 512, window: int = 2048) -> float:
    """Answered datagrams a second over `seconds`, with at most `window` under way at a time."""
    warm()
    context = multiprocessing.get_context("spawn")
    port, stop = context.Value("i", 0), context.Event()
    peer = context.Process(target=echo, args=(port, stop, batch), daemon=True)
    peer.start()
    try:
        while not port.value:
            if not peer.is_alive():
                raise SystemRefusal("The echoing process ended before it had a port; see its message above.")
            time.sleep(0.01)
        return _measure(seconds, port.value, octets, batch, window)
    finally:
        stop.set()
        peer.join()


def _measure(seconds: float, port: int, octets: int, batch: int, window: int) -> float:
    with Udp("127.0.0.1", batch=batch) as udp:
        step = np.arange(batch)
        udp.tx_data[:, :octets] = 0x5A
        udp.tx["port"] = port
        udp.tx["length"] = octets
        sent = answered = 0
        start = time.perf_counter()
        heard = start
        while (now := time.perf_counter()) - start < seconds:
            if window - (sent - answered) >= batch:
                udp.tx["host"] = MAPPED | _FIRST | (sent + step) % _HOSTS
                sent += udp.send(batch)
            elif now - heard > 1.0:  # some were lost: wait for them no longer
                sent = answered
            else:
                udp.wait(1_000)
            while count := udp.receive():
                answered += count
                heard = time.perf_counter()
        return answered / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="The bare ceiling of UDP on this machine's loopback.")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--octets", type=int, default=60, help="payload of each datagram")
    parser.add_argument("--batch", type=int, default=512, help="datagrams a system call")
    parser.add_argument("--window", type=int, default=2048, help="datagrams under way at a time")
    asked = parser.parse_args()
    rate = ceiling(asked.seconds, octets=asked.octets, batch=asked.batch, window=asked.window)
    print(f"ours {rate:.0f} answered/s")


if __name__ == "__main__":
    main()

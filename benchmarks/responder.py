"""The least that can answer: every query at once, from the address that was asked, with the pair of a resolver.

It stands in for a network in the speed tests of probers: what it costs is hardly more than moving datagrams, so that
the figure is of the prober. Nothing is decoded: whoever asks has names of one length, below `zone`.
"""

from threading import Event

import numpy as np

from dnsonde.beside import Ready
from dnsonde.net.udp import Udp, warm
from dnsonde.wire.batch import address_pair
from dnsonde.wire.name import parse_name

LABELS = 22 + 9  # `<8 hex digits><attempt><12 of the tag>.<8 of the run>`, length octets included
HEADER = 12
RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x0a\0\4"  # the asked name's, A, IN, 10 s, four octets


def respond(port: int, zone: str, control: str, stop: Event, ready: Ready) -> None:
    """Answer on all of 127.0.0.0/8 until `stop`: the asked address itself, and `control`."""
    end = HEADER + LABELS + len(parse_name(zone)) + 4
    tail = RECORD + bytes(4) + RECORD + (address_pair(control)[1] & 0xFFFF_FFFF).to_bytes(4)
    own = end + len(RECORD)
    warm()
    with Udp("0.0.0.0", port, size=320, device="lo", note=False, receive_buffer=16 << 20) as udp:
        udp.tx_data[:, end : end + len(tail)] = np.frombuffer(tail, np.uint8)
        udp.tx["length"] = end + len(tail)
        ready()
        while not stop.is_set():
            if not udp.wait(20_000):
                continue
            while count := udp.receive():
                asked, answer, peers = udp.rx_data[:count], udp.tx_data[:count], udp.rx[:count]
                answer[:, :end] = asked[:, :end]
                answer[:, 2:12] = np.frombuffer(b"\x81\x80\0\1\0\2\0\0\0\0", np.uint8)
                answer[:, own : own + 4] = peers["local_host"].astype(">u4").view(np.uint8).reshape(-1, 4)
                for field in ("host", "port", "local_host"):
                    udp.tx[field][:count] = peers[field]
                done = udp.send(count)
                while done < count:
                    udp.wait(1_000, writable=True)
                    done += udp.send(count, done)

"""Datagrams on their way out: one socket's buffer through one direction of the network."""

import numpy as np
from numpy.typing import NDArray

from dnsonde.lab.network import Leg
from dnsonde.lab.rewrite import get16
from dnsonde.lab.tape import Tape
from dnsonde.net.udp import Udp

BUFFER = 16 << 20  # octets asked of the kernel, which gives less to others than root
PATIENCE_US = 50_000  # for room in a socket's send buffer


class Post:
    """Sends what lies in `udp`'s buffer by way of `leg`; `undelivered` counts what the kernel had no room for.

    tape: keeps what was sent, if given.
    """

    def __init__(self, udp: Udp, leg: Leg, tape: Tape | None = None) -> None:
        self.udp, self.leg, self.tape = udp, leg, tape
        self.undelivered = 0

    def send(
        self,
        count: int,
        now_us: int,
        *,
        target: NDArray[np.uint32] | None = None,
        delay_us: NDArray[np.integer] | None = None,
        salt: int = 0,
    ) -> None:
        """Send the buffer's first `count` rows.

        target: the hosts that they are of, where it is not their source address; delay_us: what each host adds;
        salt: tells several datagrams of one host and one id apart.
        """
        late = delay_us is not None and bool(delay_us.any())
        if self.leg.link.clear and not late:
            self._out(count)
            return
        data, meta = self.udp.tx_data[:count], self.udp.tx[:count]
        key = key_of(meta["local_host"] if target is None else target, data) ^ np.uint64(salt)
        self.put(*self.leg.send(data, meta, key, now_us, delay_us if late else None))

    def put(self, data: NDArray[np.uint8], meta: NDArray[np.void]) -> None:
        """Send rows that lie elsewhere, past the network."""
        udp = self.udp
        for start in range(0, len(meta), udp.batch):
            part = meta[start : start + udp.batch]
            width = int(part["length"].max())
            udp.tx_data[: len(part), :width] = data[start : start + udp.batch, :width]
            udp.tx[: len(part)] = part
            self._out(len(part))

    def _out(self, count: int) -> None:
        done = self.udp.send(count)
        while done < count and self.udp.wait(PATIENCE_US, writable=True):
            more = self.udp.send(count, done)
            if more == 0:
                break
            done += more
        self.undelivered += count - done
        if self.tape is not None:
            rows = self.udp.done_rows(done)
            self.tape.sent(self.udp.tx_data, self.udp.tx, rows, self.udp.port)


def key_of(address: NDArray[np.integer], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """What tells one datagram from another: an IPv4 address and the DNS id."""
    low = address.astype(np.int64).view(np.uint64) & np.uint64(0xFFFF_FFFF)
    return (low << np.uint64(16)) | get16(data, 0).astype(np.uint64)


def loopback(port: int, batch: int, width: int, *, gather: bool = False, note: bool = False) -> Udp:
    """A socket for all of 127.0.0.0/8, and for nothing else: it is bound to the loopback interface.

    note: tell when what arrives did, and its TTL (see `net.udp`).
    """
    return Udp(
        "0.0.0.0", port, batch=batch, size=width, receive_buffer=BUFFER, send_buffer=BUFFER, device="lo",
        gather=gather, note=note,
    )  # fmt: skip

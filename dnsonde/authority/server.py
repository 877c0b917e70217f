"""The authority's loop: sockets in, answers out, a sighting for every query."""

import secrets
import select
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dnsonde.authority.answer import Answer, Policy, answer
from dnsonde.authority.layout import Shape, lay_out
from dnsonde.authority.sighting import ANSWERED, DROPPED, LIMITED, SLIPPED, TRUNCATED, Sightings
from dnsonde.authority.zone import Zone
from dnsonde.clock import Clock
from dnsonde.errors import SystemRefusal
from dnsonde.net.tcp import Connection, TcpServer
from dnsonde.net.udp import Udp
from dnsonde.table.schema import TABLES
from dnsonde.table.store import Writer
from dnsonde.wire.batch import ADDRESS, Batch
from dnsonde.wire.codes import Ede, Flag
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.encode import encode_responses
from dnsonde.wire.message import MESSAGE
from dnsonde.wire.name import ProbeNames
from dnsonde.wire.pacing import PrefixPace

BATCH = 512
REQUEST = 1500  # octets of a UDP request that are read; more is malformed
TCP_BATCH = 64  # so that its answers of up to 65,535 octets take 4 MiB
LIMIT_SLOTS = 1 << 16
BURST = 20_000  # answers at once, where the rate is limited
SLIP = 2  # one in so many answers over the limit is TC=1, so that a victim's own resolver still gets through
SEND_PATIENCE_US = 50_000  # how long a full send buffer is waited for before answers are given up
PROGRESS_US = 1_000_000
STEP_US = 20_000  # how long nothing may come before somebody else's wishes are looked at
PORTS_TRIED = 20  # where the port does not matter, until one is free for UDP and TCP


@dataclass(slots=True)
class ServeProgress:
    """What has been done since the start; `asdict` is its machine-readable form.

    queries: everything that arrived = answered + truncated + slipped + limited + dropped. unsent: of those
    that got an answer by UDP, whole or not, kept back by the system. kernel_dropped: never reached us, for want of
    receive buffer.
    """

    elapsed_us: int = 0
    queries: int = 0
    answered: int = 0
    truncated: int = 0
    slipped: int = 0
    limited: int = 0
    dropped: int = 0
    malformed: int = 0
    tcp: int = 0
    unsent: int = 0
    kernel_dropped: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain numbers by name."""
        return asdict(self)


class Authority:
    """Serves `zone` on every address of `addresses`, UDP and TCP, until told to stop.

    Port 0 lets the kernel choose for the first address, and the others follow. sightings: where rows go, closed
    with the authority, also where that cannot be had; None for none. device: bind to this interface. names: another
    make of names for probes. Raises SystemRefusal when a socket cannot be had.
    """

    def __init__(
        self,
        zone: Zone,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        port: int = 53,
        sightings: Sightings | None = None,
        clock: Clock,
        policy: Policy | None = None,
        device: str | None = None,
        names: ProbeNames | None = None,
    ) -> None:
        self.zone, self.policy = zone, policy or Policy()
        self.progress = ServeProgress()
        self._clock, self._sightings = clock, sightings
        self._secret = secrets.token_bytes(16)  # makes server cookies
        self._names = names or ProbeNames(zone.name)
        self._layout = lay_out(zone, BATCH, f"dnsonde {version('dnsonde')}")
        self._limit = self._limiter()
        self._limited = 0
        self._messages = np.zeros(BATCH, MESSAGE)
        self._length = np.zeros(BATCH, np.int32)
        self._tcp_out = np.zeros((TCP_BATCH, 0xFFFF), np.uint8)
        self._udp: list[Udp] = []
        self._tcp: list[TcpServer] = []
        self._poll = select.poll()
        self._started_us = clock.monotonic_us()
        try:
            self._open(addresses, port, device)
        except BaseException:
            self.close()
            raise

    def _limiter(self) -> PrefixPace | None:
        if self.policy.per_second is None:
            return None
        return PrefixPace(self.policy.per_second, BURST, 24, 48, LIMIT_SLOTS)

    def _open(self, addresses: Sequence[str], port: int, device: str | None) -> None:
        size = max(REQUEST, self.policy.udp_octets)
        for tried in range(1, PORTS_TRIED + 1):
            try:
                self._listen(addresses, port, size, device)
            except SystemRefusal:
                # A port that the system chose for UDP may be another program's for TCP.
                if port or tried == PORTS_TRIED:
                    raise
                self._close_sockets()
            else:
                break
        for number in (*(udp.fileno() for udp in self._udp), *(tcp.fileno() for tcp in self._tcp)):
            self._poll.register(number, select.POLLIN)

    def _listen(self, addresses: Sequence[str], port: int, size: int, device: str | None) -> None:
        for address in addresses:
            everywhere = address in {"0.0.0.0", "::"}  # only then may an answer leave from the wrong address
            udp = Udp(
                address,
                port,
                batch=BATCH,
                size=size,
                receive_buffer=8 << 20,
                device=device,
                choose_source=everywhere,
                gather=True,  # a large resolver asks much from few ports
            )
            self._udp.append(udp)
            port = udp.port
            self._tcp.append(TcpServer(address, port, clock=self._clock, device=device))

    @property
    def port(self) -> int:
        """The port that is served, the same on every address."""
        return int(self._udp[0].port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the ports back and write what sightings are left; closing twice does nothing."""
        self._close_sockets()
        if self._sightings is not None:
            self._sightings.close()

    def _close_sockets(self) -> None:
        for udp in self._udp:
            udp.close()
        for tcp in self._tcp:
            tcp.close()
        self._udp, self._tcp = [], []

    def keep(self) -> bool:
        """From another thread, while this one runs: wait until all sightings that there are now are on disk.

        False where they cannot be, as writing failed.
        """
        return self._sightings is None or self._sightings.wait(self._sightings.want())

    def step(self, timeout_us: int) -> int:
        """Serve what waits, one batch a socket; when nothing does, wait up to `timeout_us` for it. Queries served."""
        served = sum(self._serve_udp(udp) for udp in self._udp)
        if served == 0:
            self._poll.poll(max(0, timeout_us) / 1000)
            served = sum(self._serve_udp(udp) for udp in self._udp)
        served += sum(self._serve_tcp(tcp) for tcp in self._tcp)
        if self._sightings is not None:
            self._sightings.tick()
        return served

    def run(self, stop: Event, on_progress: Callable[[ServeProgress], None] | None = None) -> ServeProgress:
        """Serve until `stop` is set; `on_progress` is told every second, and at the end."""
        due_us = self._clock.monotonic_us() + PROGRESS_US
        while not stop.is_set():
            self.step(STEP_US)
            if on_progress is not None and self._clock.monotonic_us() >= due_us:
                due_us += PROGRESS_US
                on_progress(self.measure())
        progress = self.measure()
        if on_progress is not None:
            on_progress(progress)
        return progress

    def measure(self) -> ServeProgress:
        """The progress, with what is asked of the system brought up to date."""
        self.progress.elapsed_us = self._clock.monotonic_us() - self._started_us
        self.progress.kernel_dropped = sum(udp.dropped for udp in self._udp)
        return self.progress

    def _serve_udp(self, udp: Udp) -> int:
        n = udp.receive()
        if n == 0:
            return 0
        requests, peers = udp.received, udp.rx[:n]
        self._answer(requests, peers, udp.tx_data, tcp=False)
        udp.tx[:n].view(np.uint8)[:] = peers.view(np.uint8)
        udp.tx["length"][:n] = self._length[:n]
        sent = udp.send(n)
        give_up_us = self._clock.monotonic_us() + SEND_PATIENCE_US
        while sent < n and self._clock.monotonic_us() < give_up_us:
            udp.wait(1000, writable=True)
            sent += udp.send(n, sent)
        self.progress.unsent += int(np.count_nonzero(self._length[:n])) - len(udp.done_rows(sent))
        return n

    def _serve_tcp(self, server: TcpServer) -> int:
        waiting = server.poll()
        for start in range(0, len(waiting), TCP_BATCH):
            some = waiting[start : start + TCP_BATCH]
            requests = Batch.of([message for _, message in some])
            self._answer(
                requests, _tcp_peers([c for c, _ in some], self._clock.now_us()), self._tcp_out, tcp=True
            )
            for row, (connection, _) in enumerate(some):
                server.reply(connection, self._tcp_out[row, : self._length[row]].tobytes())
        self.progress.tcp += len(waiting)
        return len(waiting)

    def _answer(self, requests: Batch, peers: NDArray[np.void], out: NDArray[np.uint8], *, tcp: bool) -> None:
        """Answer one batch into `out` and `_length`, and keep its sightings."""
        n = len(requests)
        messages = decode_messages(requests, self._messages)
        parsed = self._names.parse(requests, messages)
        answered = answer(
            requests,
            messages,
            parsed,
            peers,
            layout=self._layout,
            policy=self.policy,
            secret=self._secret,
            now_s=self._clock.now_us() // 1_000_000,
            tcp=tcp,
        )
        outcome = np.where(answered.shape == Shape.DROP, np.uint8(DROPPED), np.uint8(ANSWERED))
        if self._limit is not None and not tcp:
            self._hold_back(self._limit, peers, answered, outcome)
        length = self._length[:n]
        encode_responses(requests, messages, answered.replies, answered.records, answered.blob, out, length)
        cut = (out[:n, 2] & (Flag.TC >> 8)) != 0
        outcome[cut & (outcome == ANSWERED)] = TRUNCATED
        counts = np.bincount(outcome, minlength=5)
        progress = self.progress
        progress.queries += n
        progress.answered += int(counts[ANSWERED])
        progress.truncated += int(counts[TRUNCATED])
        progress.slipped += int(counts[SLIPPED])
        progress.limited += int(counts[LIMITED])
        progress.dropped += int(counts[DROPPED])
        progress.malformed += int(np.count_nonzero(messages["status"]))
        if self._sightings is not None:
            self._sightings.add(requests, messages, parsed, peers, answered, outcome, length, tcp=tcp)

    def _hold_back(
        self, limit: PrefixPace, peers: NDArray[np.void], answered: Answer, outcome: NDArray[np.uint8]
    ) -> None:
        """Response-rate limit: over it an unproven asker gets nothing, or now and then TC=1 (slip)."""
        asked = np.flatnonzero((outcome == ANSWERED) & ~answered.verified)
        askers = np.empty(len(asked), ADDRESS)
        askers["net"], askers["host"] = peers["net"][asked], peers["host"][asked]
        admitted = limit.admit(askers, self._clock.monotonic_us() * 1000)
        if admitted.all():
            return
        over = asked[~admitted]
        number = self._limited + np.arange(len(over))
        self._limited += len(over)
        slipped = number % SLIP == SLIP - 1
        replies = answered.replies
        replies["drop"][over[~slipped]] = 1
        replies["record_count"][over[slipped]] = 0
        replies["flags"][over[slipped]] |= np.uint16(Flag.TC)
        replies["ede"][over[slipped]] = Ede.RATE_LIMITED + 1
        replies["nsid_length"][over[slipped]] = 0  # as little as can be
        outcome[over] = np.where(slipped, SLIPPED, LIMITED)


def _tcp_peers(connections: Sequence[Connection], now_us: int) -> NDArray[np.void]:
    """TCP clients as DATAGRAM rows."""
    peers = np.zeros(len(connections), DATAGRAM)
    for row, c in zip(peers, connections, strict=True):
        row["net"], row["host"], row["port"] = c.net, c.host, c.port
        row["local_net"], row["local_host"] = c.local_net, c.local_host
    peers["ttl"] = -1
    peers["time_us"] = now_us
    return peers


class Identity(Protocol):
    """Who measures, as a plan has it."""

    @property
    def contact(self) -> str: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def url(self) -> str: ...  # noqa: D102


class Delegation(Protocol):
    """The zone and its servers, as a plan has them."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def authority(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def authority_port(self) -> int: ...  # noqa: D102
    @property
    def control(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def nsid(self) -> str: ...  # noqa: D102


class ZonePlan(Protocol):
    """What the authority reads of a plan."""

    @property
    def identity(self) -> Identity: ...  # noqa: D102
    @property
    def zone(self) -> Delegation: ...  # noqa: D102


def zone_of(plan: ZonePlan) -> Zone:
    """The plan's zone."""
    return Zone(
        name=plan.zone.name,
        addresses=tuple(plan.zone.authority),
        control=tuple(plan.zone.control),
        contact=plan.identity.contact,
        description=plan.identity.description,
        url=plan.identity.url,
        nsid=plan.zone.nsid,
    )


def serve(
    plan: ZonePlan,
    folder: Path,
    clock: Clock,
    stop: Event,
    *,
    listen: Sequence[str] = (),
    policy: Policy | None = None,
    on_progress: Callable[[ServeProgress], None] | None = None,
    on_ready: Callable[[Authority], None] | None = None,
) -> ServeProgress:
    """Serve the plan's zone until `stop` is set, sightings below `folder`.

    listen: addresses to bind, where they are not those that the plan names to the world (NAT).
    """
    sightings = Sightings(Writer(TABLES["sighting"], folder), clock)
    with Authority(
        zone_of(plan),
        addresses=tuple(listen) or tuple(plan.zone.authority),
        port=plan.zone.authority_port,
        sightings=sightings,
        clock=clock,
        policy=policy,
    ) as authority:
        if on_ready is not None:
            on_ready(authority)
        return authority.run(stop, on_progress)

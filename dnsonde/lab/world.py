"""The lab at work: one socket for all hosts, one for what they ask, and a table of open questions between.

A host is `behavior`, its messages are `rewrite`, `reply` and `chain`, its network is `network`; here they are
joined to sockets, a batch at a time. All addresses are loopback, and each is our own: nothing is spoofed.
"""

import select
from contextlib import suppress
from dataclasses import asdict
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.lab import chain, rewrite
from dnsonde.lab.behavior import AFTER, ASKS, Act, Behavior, Trait, at_once, draw
from dnsonde.lab.cache import Cache
from dnsonde.lab.counters import Counters
from dnsonde.lab.icmp import Icmp
from dnsonde.lab.network import Leg
from dnsonde.lab.pending import FINAL, MINIMISED, OCTETS_MAX, PENDING, SIDE, Pending, taken
from dnsonde.lab.post import Post, key_of, loopback
from dnsonde.lab.reply import Composer
from dnsonde.lab.scenario import Scenario
from dnsonde.lab.tape import Tape
from dnsonde.net.udp import Udp
from dnsonde.wire.batch import MAPPED, Batch, address_pair
from dnsonde.wire.codes import Flag, Type
from dnsonde.wire.decode import decode_messages
from dnsonde.wire.message import MESSAGE

BATCH = 512
EDNS_MAX = 4096
WIDTH = 4224  # that and a little: a power of two would crowd the rows into the same cache sets
TABLE_MAX = 1 << 20  # so many hosts are described once; more are described each time that one is asked
EXPIRY_US = 50_000
HEADER = 12
QUESTION = HEADER + 255 + 4

Rows = NDArray[np.uint8]
Records = NDArray[np.void]
Places = NDArray[np.int64]


class World:
    """All hosts of a scenario, on 0.0.0.0:`port` of the loopback interface.

    Raises SystemRefusal when a socket cannot be had. `icmp` tells whether this process may send ICMP; if not,
    the hosts that would are silent. `tape` keeps the datagrams that pass the border of the lab's network.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Clock,
        batch: int = BATCH,
        icmp: bool = True,
        tape: Tape | None = None,
    ) -> None:
        self.scenario = scenario
        self.counters = Counters()
        self._clock = clock
        self._behavior = Behavior(scenario)
        self._table: Records | None = None
        if scenario.size <= TABLE_MAX:
            every = (np.arange(scenario.size) + scenario.first).astype(np.uint32)
            self._table = self._behavior.describe(every)
        noted = tape is not None
        self._ingress = loopback(scenario.port, batch, WIDTH, note=noted)
        try:
            # Hosts behind one resolver ask from one address.
            self._egress = loopback(0, batch, WIDTH, gather=True, note=noted)
        except BaseException:
            self._ingress.close()
            raise
        self._icmp = Icmp() if icmp else None
        if self._icmp is not None and not self._icmp.allowed:
            self._icmp = None
        network = scenario.network
        self._legs = {
            name: Leg(getattr(network, name), scenario.seed, 100 + k, capacity=scenario.held, width=WIDTH)
            for k, name in enumerate(("probe", "reply", "ask", "answer"))
        }
        self._tape = tape
        self._to_client = Post(self._ingress, self._legs["reply"], tape)
        self._to_authority = Post(self._egress, self._legs["ask"], tape)
        self._pending = Pending()
        self._cache = Cache()
        control = tuple(ip_address(a).packed for a in scenario.authority.control)
        self._composer = Composer((control[0], control[1]))
        self._authority = address_pair(scenario.authority.address)[1]
        self._answered_us = np.full(1 << 16, -(1 << 62), np.int64)  # when a rate-limited host answered last
        self._messages = np.zeros(batch, MESSAGE)
        self._length = np.zeros(batch, np.int32)
        self._expiry_us = 0
        self._poll = select.poll()
        for udp in (self._ingress, self._egress):
            self._poll.register(udp.fileno(), select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the ports back."""
        for udp in (self._ingress, self._egress):
            with suppress(KeyError):
                self._poll.unregister(udp.fileno())
            udp.close()
        if self._icmp is not None:
            self._icmp.close()

    @property
    def icmp(self) -> bool:
        """Whether ICMP is really sent."""
        return self._icmp is not None

    @property
    def next_us(self) -> int:
        """Monotonic time of the next datagram that is held back; `network.FOREVER` when there is none."""
        return min(leg.waiting.next_us for leg in self._legs.values())

    def totals(self) -> dict[str, int]:
        """Everything counted, by name: `Counters`, the network's doings, and what the sockets dropped."""
        legs = self._legs.values()
        return {
            **asdict(self.counters),
            "lost": sum(leg.lost for leg in legs),
            "doubled": sum(leg.doubled for leg in legs),
            "held": sum(leg.held for leg in legs),
            "not_held": sum(leg.waiting.refused for leg in legs),
            "forgotten": self._pending.forgotten,
            "undelivered": self._to_client.undelivered + self._to_authority.undelivered,
            "dropped": self._ingress.dropped + self._egress.dropped,
        }

    def step(self, timeout_us: int = 0) -> int:
        """Handle what waits, one batch a socket; when nothing does, wait at most that long. Datagrams handled."""
        handled = self._turn()
        if handled or timeout_us <= 0:
            return handled
        wait_us = min(timeout_us, max(self.next_us - self._clock.monotonic_us(), 0), EXPIRY_US)
        # Rounded up: a millisecond early would be a busy loop until the time has come.
        self._poll.poll(-(-wait_us // 1000))
        return self._turn()

    def _turn(self) -> int:
        now = self._clock.monotonic_us()
        probe, reply, ask, answer = self._legs.values()
        handled, data, meta = self._heard(self._ingress, probe, now)
        if handled:
            self._probed(data, meta, now)
        handled += self._release(probe, now) + self._release(ask, now)
        count, data, meta = self._heard(self._egress, answer, now)
        if count:
            self._answered(data, meta, now)
        handled += count
        handled += self._release(answer, now) + self._release(reply, now)
        if now >= self._expiry_us:
            self._expiry_us = now + EXPIRY_US
            self._expire(now)
        return handled

    def _heard(self, udp: Udp, leg: Leg, now: int) -> tuple[int, Rows, Records]:
        """How many datagrams came to a socket, and those that come through `leg` at once."""
        count = udp.receive()
        data, meta = udp.rx_data[:count], udp.rx[:count]
        if count and self._tape is not None:
            self._tape.received(data, meta, udp.port)
        if count and not leg.link.clear:
            data, meta = leg.send(data, meta, key_of(meta["local_host"], data), now)
        return count, data, meta

    def _release(self, leg: Leg, now: int) -> int:
        """Let go of what a direction has held back until now."""
        if leg.waiting.next_us > now:
            return 0
        data, meta = leg.due(now, self._ingress.batch)
        if leg is self._legs["probe"]:
            self._probed(data, meta, now)
        elif leg is self._legs["answer"]:
            self._answered(data, meta, now)
        else:
            (self._to_client if leg is self._to_client.leg else self._to_authority).put(data, meta)
        return len(meta)

    # From the prober

    def _probed(self, data: Rows, meta: Records, now: int) -> None:
        """Probes have reached their hosts."""
        for start in range(0, len(meta), self._ingress.batch):
            self._probed_batch(
                data[start : start + self._ingress.batch], meta[start : start + self._ingress.batch], now
            )

    def _probed_batch(self, data: Rows, meta: Records, now: int) -> None:
        target = (meta["local_host"] & 0xFFFF_FFFF).astype(np.uint32)
        offset = target - np.uint32(self.scenario.first)
        self.counters.probes += len(meta)
        inside = offset < self.scenario.size
        if not inside.all():
            self.counters.foreign += int(np.count_nonzero(~inside))
            data, meta, target, offset = data[inside], meta[inside], target[inside], offset[inside]
        batch = Batch.rows(np.ascontiguousarray(data), meta["length"])
        messages = decode_messages(batch, self._messages)
        hosts = self._behavior.describe(target) if self._table is None else taken(self._table, offset)
        good = (
            (messages["status"] == 0)
            & ((messages["flags"] & (Flag.QR | 0x7800)) == 0)
            & (messages["qdcount"] == 1)
            & (messages["qclass"] == 1)
            & (messages["question_end"] <= QUESTION)
            & (meta["length"] <= OCTETS_MAX)
        )
        if not good.all():
            self.counters.malformed += int(np.count_nonzero(~good))
        special = hosts["traits"] & (Trait.DROPS_FIRST | Trait.RATE_LIMITED)
        if special.any():
            good &= ~self._unheard(hosts, data, now)
        act, asks = at_once(hosts, messages["edns_version"] >= 0)
        self._reply_at_once(np.flatnonzero(good & (act != Act.NONE)), act, batch, data, meta, hosts, now)
        if len(asking := np.flatnonzero(good & asks)):
            self._ask_first(asking, data, meta, messages, hosts, now)

    def _unheard(self, hosts: Records, data: Rows, now: int) -> NDArray[np.bool_]:
        """Probes that a lossy host does not hear, or that a rate-limited one has no time for."""
        # A probe name says its attempt: `<8 hex digits of the target><1 of the attempt><12 of the tag>`.
        digit = data[:, 21].astype(np.int64)
        attempt = np.where(digit <= ord("9"), digit - ord("0"), (digit | 0x20) - ord("a") + 10)
        unheard: NDArray[np.bool_] = (data[:, 12] == 21) & (attempt <= hosts["drops"]) & (hosts["drops"] > 0)
        limited = np.flatnonzero(hosts["traits"] & Trait.RATE_LIMITED)
        if len(limited):
            # By the address's low 16 bits: in a lab of more than 65,536 hosts some share a limit.
            place = (hosts["target"][limited] & np.uint32(0xFFFF)).astype(np.int64)
            early = now - self._answered_us[place] < self.scenario.rate_limit_ms * 1000
            first = np.unique(place, return_index=True)[1]
            early |= ~np.isin(np.arange(len(place)), first)
            unheard[limited[early]] = True
            self._answered_us[place[~early]] = now
            self.counters.limited += int(np.count_nonzero(early))
        return unheard

    def _reply_at_once(
        self,
        some: Places,
        acts: NDArray[np.uint8],
        batch: Batch,
        data: Rows,
        meta: Records,
        hosts: Records,
        now: int,
    ) -> None:
        act = acts[some]
        if (act >= Act.ICMP_HOST).any():
            if self._icmp is not None:
                told = some[act >= Act.ICMP_HOST]
                codes = acts[told] - Act.ICMP_HOST + 1
                self._icmp.send(data[told], meta[told], hosts["target"][told], codes, self.scenario.port)
            some = some[act < Act.ICMP_HOST]
            act = acts[some]
        n = len(some)
        if n == 0:
            return
        out, length = self._ingress.tx_data, self._length[:n]
        part = Batch(batch.data, batch.offset[some], batch.length[some])
        self._composer.write(part, self._messages[some], act, hosts[some], out[:n], length)
        echo = np.flatnonzero(act == Act.ECHO)
        if len(echo):
            length[echo] = meta["length"][some[echo]]
            width = int(length[echo].max())
            out[echo, :width] = data[some[echo], :width]
        # An injected lie comes from the way, not from the host: it does not wait for it.
        delay = np.where(ASKS[hosts["kind"][some]] & (act == Act.LIE), 0, hosts["delay_us"][some])
        self._reply(hosts[some], meta["host"][some], meta["port"][some], length, delay, now, 1 << 48)

    def _ask_first(
        self, some: Places, data: Rows, meta: Records, messages: Records, hosts: Records, now: int
    ) -> None:
        """Probes to resolving hosts: remember the client, and ask."""
        n = len(some)
        entry = np.zeros(n, PENDING)
        entry["stage"] = FINAL
        entry["host"] = host = taken(hosts, some)
        entry["client_host"] = meta["host"][some]
        entry["client_port"] = meta["port"][some]
        entry["request_length"] = meta["length"][some]
        # A message's record is long, and few of its fields are asked for.
        entry["end"] = end = messages["question_end"][some].astype(np.int64)
        size = np.clip(messages["edns_size"][some], 512, EDNS_MAX)
        entry["edns_size"] = np.where(messages["edns_version"][some] >= 0, size, 0)
        entry["owner"] = 0xC00C
        requests = data[some, : int(entry["request_length"].max())]
        traits = host["traits"]
        habits = int(np.bitwise_or.reduce(traits))
        if habits & Trait.CACHE:
            known = self._from_cache(entry, requests, now)
            if known.any():
                entry, requests, some, end = entry[~known], requests[~known], some[~known], end[~known]
                traits = entry["host"]["traits"]
        if habits & Trait.DUAL:
            both = np.flatnonzero(((traits & Trait.DUAL) != 0) & (messages["qtype"][some] == Type.A))
            if len(both):
                side, twin = entry[both], requests[both].copy()
                side["stage"] = SIDE
                rewrite.put(twin, end[both] - 4, np.tile(np.array([0, Type.AAAA], np.uint8), (len(both), 1)))
                self._ask(side, twin, end[both], twin, now)
        if habits & Trait.MINIMISE:
            short = ((traits & Trait.MINIMISE) != 0) & (messages["qname_labels"][some] > 2)
            if short.any():
                before = entry[short]
                before["stage"] = MINIMISED
                questions, question_end = rewrite.minimised(requests[short], end[short])
                self._ask(before, questions, question_end, requests[short], now)
                entry, requests, end = entry[~short], requests[~short], end[~short]
        self._ask(entry, requests, end, requests, now)

    def _ask(
        self,
        entry: Records,
        questions: Rows,
        end: Places,
        requests: Rows,
        now: int,
        before: Places | None = None,
    ) -> None:
        """Put questions to the authority, each from its host's egress; `entry` are PENDING rows to keep.

        before: the ids of questions that these continue, whose aliases found so far are kept.
        """
        n = len(entry)
        if n == 0:
            return
        host = entry["host"]
        ids = self._pending.open(n, now)
        if before is not None:
            chained = np.flatnonzero(entry["partial_count"])
            self._pending.partial[ids[chained]] = self._pending.partial[before[chained]]
        egress = host["egress"] + (ids & (host["egress_count"] - 1)).astype(np.uint32)
        out, meta = self._egress.tx_data, self._egress.tx[:n]
        traits = host["traits"]
        noise = draw(
            self.scenario.seed, 5, (egress.astype(np.uint64) << np.uint64(16)) | ids.astype(np.uint64)
        )
        length = rewrite.queries(out, questions, end, ids, traits, entry["client_host"] & 0xFFFF_FFFF, noise)
        entry["egress"] = egress
        entry["query_end"] = end
        entry["query_length"] = length
        width = int(length.max())
        self._pending.keep(ids, entry)
        self._pending.query[ids, :width] = out[:n, :width]
        width = int(entry["request_length"].max())
        self._pending.request[ids, :width] = requests[:, :width]
        self._aim_at_authority(meta, egress, length)
        self.counters.asks += n
        self._to_authority.send(n, now)

    def _aim_at_authority(self, meta: Records, egress: NDArray[np.uint32], length: NDArray[np.int32]) -> None:
        meta["net"] = meta["local_net"] = 0
        meta["host"] = self._authority
        meta["port"] = self.scenario.authority.port
        meta["local_host"] = MAPPED | egress.astype(np.int64)
        meta["length"] = length

    # From the authority

    def _answered(self, data: Rows, meta: Records, now: int) -> None:
        """Answers have reached those that asked."""
        for start in range(0, len(meta), self._egress.batch):
            self._answered_batch(
                data[start : start + self._egress.batch], meta[start : start + self._egress.batch], now
            )

    def _answered_batch(self, data: Rows, meta: Records, now: int) -> None:
        length = meta["length"]
        # From here on rows are copied: only what is in them.
        data = data[:, : max(int(length.max()), HEADER)]
        ids = rewrite.get16(data, 0).astype(np.int64)
        entry = taken(self._pending.entry, ids)
        expected = (
            (entry["stage"] > 0)
            & (length >= entry["query_end"])
            & (meta["local_host"] == (MAPPED | entry["egress"].astype(np.int64)))
            & (meta["host"] == self._authority)
            & (meta["port"] == self.scenario.authority.port)
            & (data[:, 2] >= 0x80)
        )
        expected &= self._pending.first_of_each(ids)
        if not expected.all():
            data, meta, ids, entry = data[expected], meta[expected], ids[expected], entry[expected]
            length = length[expected]
        if len(ids):
            width = int(entry["query_end"].max())
            same = rewrite.same_questions(data, self._pending.query[ids, :width], entry["query_end"])
            if not same.all():
                data, ids, entry, length = data[same], ids[same], entry[same], length[same]
        self.counters.strays += len(expected) - len(ids)
        self.counters.answers += len(ids)
        if len(ids) == 0:
            return
        self._pending.close(ids)
        stage, rcode = entry["stage"], data[:, 3] & 0x0F
        final = stage == FINAL
        if not final.all():
            shorter = np.flatnonzero((stage == MINIMISED) & (rcode == 0))
            on = entry[shorter]
            on["stage"], on["tries"] = FINAL, 0
            requests = self._pending.request[ids[shorter]]
            self._ask(on, requests, on["end"].astype(np.int64), requests, now)
            # Where nothing is above, nothing is below (RFC 8020); anything else went wrong.
            ended = np.flatnonzero((stage == MINIMISED) & (rcode != 0))
            act = np.where(rcode[ended] == 3, Act.NXDOMAIN, Act.SERVFAIL).astype(np.uint8)
            self._compose(entry[ended], ids[ended], act, now)
        self._finish(np.flatnonzero(final), data, length, ids, entry, now)

    def _finish(
        self, some: Places, data: Rows, length: NDArray[np.int32], ids: Places, entry: Records, now: int
    ) -> None:
        """Answers to the clients' own questions: relay, follow, filter or replace them."""
        act = AFTER[entry["host"]["kind"][some]]
        traits = entry["host"]["traits"][some]
        if (traits & (Trait.REBINDING_FILTER | Trait.REWRITES_NXDOMAIN)).any():
            nxdomain = (data[some, 3] & 0x0F) == 3
            act = np.where(nxdomain & ((traits & Trait.REWRITES_NXDOMAIN) != 0), Act.LIE, act)
            inner = rewrite.first_address(data[some], length[some], entry["query_end"][some]) >> 24 == 127
            act = np.where(inner & ((traits & Trait.REBINDING_FILTER) != 0), Act.EMPTY, act).astype(np.uint8)
        relayed = some[act == Act.RELAY]
        if len(relayed):
            alias = chain.is_alias(data[relayed], length[relayed], entry["query_end"][relayed])
            if alias.any():
                follow = relayed[alias]
                self._follow(data[follow], ids[follow], entry[follow], now)
                relayed = relayed[~alias]
        if len(relayed) == len(ids):
            self._relay(data, length, ids, entry, now)
        elif len(relayed):
            self._relay(data[relayed], length[relayed], ids[relayed], entry[relayed], now)
        made = (act != Act.RELAY) & (act != Act.NONE)
        if made.any():
            self._compose(entry[some[made]], ids[some[made]], act[made], now)

    def _relay(self, data: Rows, length: NDArray[np.int32], ids: Places, entry: Records, now: int) -> None:
        """Pass answers on to the clients."""
        answers = data[:, : int(length.max())]
        requests = self._pending.request[ids, : int(entry["request_length"].max())]
        joined = np.flatnonzero(entry["partial_count"])
        if len(joined):
            answers, length = self._join(joined, answers, length, ids, entry)
        if (entry["host"]["traits"] & Trait.CACHE).any():
            self._to_cache(answers, length, requests, entry, now)
        self._pass_on(answers, length, requests, entry, now)

    def _pass_on(
        self, answers: Rows, length: NDArray[np.int32], requests: Rows, entry: Records, now: int
    ) -> None:
        host, end = entry["host"], entry["end"].astype(np.int64)
        ra = (host["traits"] & Trait.RA) != 0
        size = entry["edns_size"].astype(np.int64)
        told = rewrite.responses(self._ingress.tx_data, answers, length, requests, end, edns_size=size, ra=ra)
        delay = host["delay_us"]
        self._reply(host, entry["client_host"], entry["client_port"], told, delay, now, 0)

    def _compose(self, entry: Records, ids: Places, act: NDArray[np.uint8], now: int) -> None:
        """Answer on the hosts' own account what the authority was asked for."""
        n = len(entry)
        if n == 0:
            return
        requests = Batch.rows(self._pending.request[ids], entry["request_length"])
        messages = decode_messages(requests)
        host, length = entry["host"], self._length[:n]
        self._composer.write(requests, messages, act, host, self._ingress.tx_data[:n], length)
        self._reply(host, entry["client_host"], entry["client_port"], length, host["delay_us"], now, 0)

    # Aliases

    def _follow(self, data: Rows, ids: Places, entry: Records, now: int) -> None:
        questions, end, octets = chain.targets(data, entry["query_end"])
        partial = self._pending.partial[ids]
        length, owner, fits = chain.collect(
            partial, entry["partial_length"], entry["owner"], data, entry["query_end"], octets, entry["end"]
        )
        fits &= end <= QUESTION
        lost = np.flatnonzero(~fits)
        self._compose(entry[lost], ids[lost], np.full(len(lost), Act.SERVFAIL, np.uint8), now)
        entry = entry[fits]
        entry["partial_length"], entry["owner"] = length[fits], owner[fits]
        entry["partial_count"] += 1
        entry["tries"] = 0
        ids = ids[fits]
        self._pending.partial[ids] = partial[fits]
        self._ask(entry, questions[fits], end[fits], self._pending.request[ids], now, ids)

    def _join(
        self, joined: Places, answers: Rows, length: NDArray[np.int32], ids: Places, entry: Records
    ) -> tuple[Rows, NDArray[np.int32]]:
        part = entry[joined]
        rows, total = chain.join(
            answers[joined],
            length[joined],
            part["query_end"],
            self._pending.partial[ids[joined]],
            part["partial_length"],
            part["partial_count"],
            part["owner"],
        )
        wide = np.zeros((len(answers), max(rows.shape[1], answers.shape[1])), np.uint8)
        wide[:, : answers.shape[1]] = answers
        wide[joined, : rows.shape[1]] = rows
        length = length.copy()
        length[joined] = total
        return wide, length

    # Memory of earlier answers

    def _from_cache(self, entry: Records, requests: Rows, now: int) -> NDArray[np.bool_]:
        """Answer what the hosts remember; returns which rows that was."""
        can = (entry["host"]["traits"] & Trait.CACHE) != 0
        can &= AFTER[entry["host"]["kind"]] == Act.RELAY
        known = np.zeros(len(entry), np.bool_)
        some = np.flatnonzero(can)
        if len(some) == 0:
            return known
        hit, answers, length = self._cache.find(
            entry["host"]["identity"][some], requests[some], entry["end"][some], now
        )
        if len(hit):
            known[some[hit]] = True
            self.counters.cached += len(hit)
            self._pass_on(answers, length, requests[some[hit]], entry[some[hit]], now)
        return known

    def _to_cache(
        self, answers: Rows, length: NDArray[np.int32], requests: Rows, entry: Records, now: int
    ) -> None:
        some = np.flatnonzero(entry["host"]["traits"] & Trait.CACHE)
        self._cache.keep(
            entry["host"]["identity"][some],
            requests[some],
            entry["end"][some],
            answers[some],
            length[some],
            now,
        )

    # Out

    def _reply(
        self,
        host: Records,
        client: NDArray[np.int64],
        port: NDArray[np.uint16],
        length: NDArray[np.int32],
        delay_us: NDArray[np.integer],
        now: int,
        salt: int,
    ) -> None:
        """Send the rows that lie in the ingress socket's buffer, from each host's responder."""
        n = len(host)
        meta = self._ingress.tx[:n]
        meta["net"] = meta["local_net"] = 0
        meta["host"] = client
        meta["port"] = port
        meta["local_host"] = MAPPED | host["responder"].astype(np.int64)
        meta["length"] = length
        self.counters.replies += n
        self._to_client.send(n, now, target=host["target"], delay_us=delay_us, salt=salt)

    def _expire(self, now: int) -> None:
        """Ask again what stayed without an answer, or give up and say SERVFAIL."""
        late = self._pending.overdue(now - int(self.scenario.upstream_timeout_ms * 1000))[
            : self._egress.batch
        ]
        if len(late) == 0:
            return
        entry = self._pending.entry[late]
        again = entry["tries"] + 1 < self.scenario.upstream_tries
        ids = late[again]
        if len(ids):
            part = entry[again]
            part["tries"] += 1
            self.counters.retries += len(ids)
            self._pending.close(ids)
            questions, requests = self._pending.query[ids], self._pending.request[ids]
            # Under a new id: another datagram, with a fate of its own.
            self._ask(part, questions, part["query_end"].astype(np.int64), requests, now, ids)
        ids = late[~again]
        if len(ids):
            part = entry[~again]
            self.counters.given_up += len(ids)
            self._pending.close(ids)
            tell = (part["stage"] != SIDE) & (AFTER[part["host"]["kind"]] != Act.NONE)
            servfail = np.full(int(np.count_nonzero(tell)), Act.SERVFAIL, np.uint8)
            self._compose(part[tell], ids[tell], servfail, now)

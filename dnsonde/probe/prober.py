"""Measure a plan's scope: one loop that sends at the plan's pace, receives, attributes and hands rows to the disk.

Every probe stands by itself: nothing is kept of it but its row, until its time is up. The sweep asks whoever has not
answered, up to the plan's attempts; then the same loop asks those that proved open what characterises them.
"""

import os
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from dnsonde.clock import Clock
from dnsonde.errors import RunError, SystemRefusal
from dnsonde.net.pace import Pace
from dnsonde.net.udp import Udp
from dnsonde.probe import narrow
from dnsonde.probe import state as states
from dnsonde.probe._bitmap import Bitmap
from dnsonde.probe._recorder import SENT, Chunks, Recorder
from dnsonde.probe._recover import Marks, recover
from dnsonde.probe._supply import Supply
from dnsonde.probe._window import Window
from dnsonde.probe.forecast import most_pps
from dnsonde.probe.match import Matcher, Secret
from dnsonde.probe.order import Order
from dnsonde.probe.plan import Plan
from dnsonde.probe.rounds import KINDS, SIZE_EDNS, rounds
from dnsonde.table.often import between_us
from dnsonde.wire.batch import MAPPED, address_array
from dnsonde.wire.encode import encode_fixed, encode_probes
from dnsonde.wire.name import Kind, ProbeNames, parse_name, probe_ids
from dnsonde.wire.replied import Outcome

BATCH = 512
ROW_OCTETS = 4160  # what the size round asks for; 65 cache lines, so that the rows spread over the cache
QUERY_OCTETS = 320  # header, the longest name, type and class, OPT: 282
RECEIVE_TURNS = 4  # batches taken before sending gets its turn again, whatever floods in
IDLE_US = 1000  # longest sleep while something is to be sent
REPORT_US = 250_000
RATE_PROBES, RATE_US = 20, 1_000_000  # the rate is that of so many probes and so long, at least
CHECKPOINT_S = 30.0
CHECKPOINT_ROWS = 131_072
STRAY_ROWS = 10_000  # rows kept of each kind of stray; all are counted
REPEATS = 8  # replies kept for each probe sent, on average

Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class ProbeProgress:
    """How far a run is. Counts are of the whole run, but `dropped` and `rate`, which are of this process."""

    kind: str
    attempt: int
    round: int  # from 1
    of: int  # rounds
    share: float  # of this round's targets gone through, 0 to 1
    targets: int  # of this shard
    sent: int
    answered: int  # targets that the sweep is done with because they answered
    recursive: int  # targets that gave the right answer
    rate: float  # probes a second, lately
    replies: int
    icmp: int
    forged: int
    malformed: int
    mismatched: int
    errors: int  # probes that the system would not send
    dropped: int  # datagrams that the kernel had no room for
    time_left_s: float
    complete: bool = False


class Prober:
    """One run of a plan into a folder, begun or continued.

    RunError where the folder belongs to another plan or is in use; SystemRefusal where the machine will not let us.
    `lock`: the folder's, where the caller holds it already. `device` binds the sockets to one interface. `names`:
    another make of names for probes. `checkpoint_rows` and `checkpoint_s`: rows go to disk after so many settled
    probes, or so long, which grows (`table.often`); who is killed has those asked again that were settled since, and
    those under way. `on_narrowed` is told, before anything is
    sent, of what the plan excludes that it did not exclude when the run was last at work.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        *,
        clock: Clock,
        lock: states.Lock | None = None,
        device: str | None = None,
        names: ProbeNames | None = None,
        batch: int = BATCH,
        checkpoint_rows: int = CHECKPOINT_ROWS,
        checkpoint_s: float = CHECKPOINT_S,
        on_narrowed: Callable[[states.Narrowing], None] | None = None,
    ) -> None:
        self._plan, self._folder, self._device = plan, Path(folder), device
        self._held = lock
        self._clock = clock
        self._batch = batch
        self._checkpoint_rows, self._checkpoint_us = checkpoint_rows, int(checkpoint_s * 1e6)
        self._rounds = rounds(plan)
        self._scope, self._allowed = plan.scope(), plan.scope()
        self._on_narrowed = on_narrowed
        self._timeout_us = int(plan.probe.timeout_s * 1e6)
        self._stops = 0
        self._known = parse_name(plan.zone.known).lower() if plan.is_known else b""
        self._names = names or ProbeNames("known.invalid" if plan.is_known else plan.zone.name)
        self._counts = dict.fromkeys(("sent", "errors", *(o.name.lower() for o in Outcome)), 0)

    def stop(self) -> int:
        """End soon: wait for the replies to what was sent, write, return; a second time, do not wait. Its count."""
        self._stops += 1
        return self._stops

    def run(
        self,
        on_progress: Callable[[ProbeProgress], None] | None = None,
        keep: Callable[[], object] | None = None,
    ) -> ProbeProgress:
        """Measure, until all rounds are done or `stop` was called. `on_progress` is called some times a second.

        keep: puts on disk what the authority saw of probes until now, and raises where it cannot; called, in another
        thread, before these have rows.
        """
        with nullcontext(self._held) if self._held else states.Lock(self._folder) as self._lock:
            self._state = self._load_state()
            self._narrow()
            self._on_progress = on_progress
            self._marks = Marks.clear(self._folder, self._scope.size, self._plan.probe.attempts)
            key = self._plan.order_key(self._scope, self._state.secret)
            self._order = Order(self._scope.size, key, self._plan.shard)
            self._begin()
            if self._state.complete:
                return self._progress()
            secret = Secret(self._state.secret, self._state.run)
            control = address_array(
                self._plan.zone.answer if self._plan.is_known else self._plan.zone.control
            )
            self._matcher = Matcher(
                self._names, secret, self._scope, control, qtype=self._rounds[0].qtype, known=self._known
            )
            self._pace = Pace(
                self._plan.total_pps, self._plan.prefix_pps, self._plan.pace.prefix4, self._plan.pace.prefix6,
                clock=self._clock, batch=self._batch,
            )  # fmt: skip
            if self._lock.sent_until_us is not None:
                self._pace.resume(self._clock.now_us() - self._lock.sent_until_us)
            self._sockets = self._open()
            self._recorder = Recorder(self._folder, self._scope, self._names, secret, self._replies, keep)
            try:
                self._measure()
            finally:
                for socket in self._sockets:
                    socket.close()
                self._recorder.close()
            elapsed = max(self._clock.monotonic_us() - self._began_us, 1)
            self._rate = (self._counts["sent"] - self._sent_before) * 1e6 / elapsed
            return self._progress()

    # Begin ------------------------------------------------------------------------------------------------------

    def _load_state(self) -> states.State:
        state = states.load(self._folder)
        if state is None:
            if any((self._folder / name).is_dir() for name in ("probe", "reply")):
                raise RunError(f"{self._folder} has rows of a run but no state: choose another folder")
            state = states.fresh(self._plan.digest, self._clock.now_us())
            narrow.keep(self._folder, self._scope)
            states.save(self._folder, state)
        return state

    def _narrow(self) -> None:
        """Go by the scope that the run began with, and leave out who has been excluded since."""
        self._scope, more = narrow.agree(self._folder, self._plan, self._state, self._clock.now_us())
        if more is not None:
            self._state.exclusions.append(more)
            states.save(self._folder, self._state)
            if self._on_narrowed is not None:
                self._on_narrowed(more)

    def _begin(self) -> None:
        """Take up what a process before this one left."""
        asked = self._rounds[min(self._state.round, len(self._rounds) - 1)]
        self._counts |= {k: v for k, v in self._state.counts.items() if k in self._counts}
        self._counts |= recover(
            self._folder, self._scope, self._marks, kind=asked.kind, attempt=asked.attempt
        )
        self._left_out = 0
        for index in narrow.positions(self._scope, narrow.excluded(self._state)):
            mine = index[self._order.position(index) >= 0]
            self._left_out += len(mine)
            self._marks.refuse(mine)
        self._unsettled: deque[tuple[int, Rows]] = deque()
        limit = self._plan.pace.under_way
        self._window = Window(limit, self._timeout_us) if limit else None
        self._settled: list[Rows] = []
        self._settled_rows = 0
        self._replies = Chunks()
        self._dropped = 0
        self._errno = self._refused_in_a_row = 0
        now = self._clock.monotonic_us()
        self._checkpointed_us = self._reported_us = now
        self._began_us = now
        self._rate = self._rate_sending = 0.0  # lately, and while there was somebody to ask
        self._most_pps = most_pps(self._plan)
        self._lately = deque([(now, self._counts["sent"])])
        self._sent_before: int = self._counts["sent"]

    def _open(self) -> list[Udp]:
        mapped = self._scope.ranges.is_ipv4()
        source = self._plan.probe.source
        addresses = []
        if mapped.any():
            addresses.append(source if "." in source else "0.0.0.0")
        if not mapped.all():
            addresses.append(source if ":" in source else "::")
        self._both = len(addresses) == 2
        self._lengths = np.zeros(self._batch, np.int32)
        return [self._socket(address) for address in addresses]

    def _socket(self, address: str) -> Udp:
        return Udp(
            address, batch=self._batch, size=ROW_OCTETS, send_size=QUERY_OCTETS, device=self._device, errors=True,
            choose_source=False,
        )  # fmt: skip

    # The loop ---------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        while self._state.round < len(self._rounds):
            self._asked = self._rounds[self._state.round]
            allowed = self._allowed if self._left_out else None
            self._supply = Supply(self._scope, self._order, self._marks, self._asked.kind, allowed)
            self._lately = deque([(self._clock.monotonic_us(), self._counts["sent"])])  # not the wait before
            if self._window is not None:
                heard = Bitmap(self._folder, self._scope.size)
                self._window.begin(heard, self._asked.kind, self._asked.attempt)
            self._send_all()
            self._linger()
            self._checkpoint(everything=True)
            while not self._recorder.idle:
                self._turn(sending=False)
                self._wait(IDLE_US)
            self._recorder.check()
            self._report(self._clock.monotonic_us())  # the round's last word
            if self._stops:
                break
            self._state.round += 1
            self._state.complete = self._state.round == len(self._rounds)
            states.save(self._folder, self._with_counts())
            self._marks.done = Bitmap(self._folder, self._scope.size)
        if self._replies:
            self._checkpoint(everything=True)

    def _send_all(self) -> None:
        fruitless = 0
        while not self._supply.exhausted and not self._stops:
            sent = self._turn(sending=True)
            fruitless = 0 if sent else fruitless + 1
            if sent == 0:
                # Nothing to do but wait, for the pace or for the prefixes of those put off.
                wait_us = self._pace.wait_us()
                if self._window is not None and self._window.room == 0:
                    wait_us = IDLE_US
                if wait_us or fruitless > 16 or self._recorder.full:
                    self._wait(min(max(wait_us, 50), IDLE_US))

    def _linger(self) -> None:
        """Wait for the replies to what was sent last, unless the next round need not know of them.

        Those who characterise need no answer from each other, and a sweep that everybody answered is over. What comes
        late is kept all the same, and after the last round there is time for it.
        """
        last = self._state.round + 1 == len(self._rounds)
        sweep = self._asked.kind == Kind.SWEEP
        while self._unsettled and self._stops < 2:
            self._turn(sending=False)
            over = not sweep or self._marks.answered.count >= self._order.size
            if over and not last and not self._stops:
                break
            self._wait(IDLE_US)
        if self._stops < 2:
            while self._unsettled:
                self._settle()
        self._receive()

    def _turn(self, *, sending: bool) -> int:
        """Receive, settle, report, and send one batch; how many were sent."""
        self._recorder.check()  # after an error nothing leaves its queue any more: it would be waited for without end
        self._receive()
        now = self._clock.monotonic_us()
        while self._unsettled and self._unsettled[0][0] + self._timeout_us <= now:
            self._settle()
        if self._window is not None:
            self._window.expire(now)
        longest_us = between_us(self._checkpoint_us, now - self._began_us)
        if self._settled_rows >= self._checkpoint_rows or now - self._checkpointed_us >= longest_us:
            self._checkpoint()
        if now - self._reported_us >= REPORT_US:
            self._report(now)
        if not sending or self._recorder.full:
            return 0
        allowance = min(self._pace.allowance(now), self._batch)
        if self._window is not None:
            allowance = min(allowance, self._window.room)
        if allowance == 0:
            return 0
        index, addresses = self._supply.next(allowance, self._pace)
        if len(index):
            self._send(index, addresses)
        return len(index)

    def _wait(self, timeout_us: int) -> None:
        if len(self._sockets) == 1:
            self._sockets[0].wait(timeout_us)
        else:
            for socket in self._sockets:
                socket.wait(timeout_us // 2)

    # Send -------------------------------------------------------------------------------------------------------

    def _send(self, index: NDArray[np.int64], addresses: Rows) -> None:
        if not self._both:
            self._send_one(self._sockets[0], index, addresses)
        else:
            mapped = (addresses["net"] == 0) & (addresses["host"] >> 32 == MAPPED >> 32)
            for socket, mine in zip(self._sockets, (mapped, ~mapped), strict=True):
                if mine.any():
                    self._send_one(socket, index[mine], addresses[mine])
        self._pace.take(len(index))

    def _send_one(self, socket: Udp, index: NDArray[np.int64], addresses: Rows) -> None:
        asked, n = self._asked, len(index)
        edns_size = self._plan.probe.edns_size
        if edns_size and asked.kind == Kind.SIZE:
            edns_size = SIZE_EDNS
        start = 0
        if asked.kind == Kind.SWEEP and 1 < asked.attempt == self._plan.probe.attempts:
            # Whose complaint about EDNS was lost has no other chance (RFC 6891, 6.2.2).
            edns_size = 0
        elif self._marks.plain.count:
            # Who did not understand EDNS is asked without it; those come first.
            plain = self._marks.plain.get(index)
            by_need = np.argsort(~plain, kind="stable")
            index, addresses, start = index[by_need], addresses[by_need], int(plain.sum())
            self._encode(socket, addresses, 0, start, 0)
        self._encode(socket, addresses, start, n, edns_size)
        tx = socket.tx[:n]
        tx["net"], tx["host"] = addresses["net"], addresses["host"]
        tx["port"] = self._plan.space.port
        tx["length"] = self._lengths[:n]
        rows = np.zeros(n, SENT)
        rows["index"], rows["query_bytes"] = index, self._lengths[:n]
        now_us = self._clock.now_us()
        rows["time_us"] = now_us
        self._lock.sending(now_us)
        done = socket.send(n)
        while done < n and not self._stops:
            socket.wait(IDLE_US, writable=True)
            self._receive()
            more = socket.send(n, done)
            if more == 0:
                self._clock.sleep_us(IDLE_US)  # without room in the interface (ENOBUFS) the wait ends at once
            done += more
        # Who was not reached before a stop has no row, and is asked when the run goes on.
        rows, index, n = rows[:done], index[:done], done
        rows["errno"] = socket.tx_errno[:n]
        refused = int(np.count_nonzero(rows["errno"]))
        if refused:
            self._marks.refuse(index[rows["errno"] != 0])
            self._counts["errors"] += refused
            self._errno = int(rows["errno"][rows["errno"] != 0][-1])
        self._refused_in_a_row = self._refused_in_a_row + n if refused == n else 0
        if self._refused_in_a_row >= BATCH:
            self._refuse()
        self._counts["sent"] += n - refused
        sent_us = self._clock.monotonic_us()
        if self._window is not None:
            self._window.sent(index[rows["errno"] == 0], sent_us)
        self._unsettled.append((sent_us, rows))

    def _encode(self, socket: Udp, addresses: Rows, start: int, end: int, edns_size: int) -> None:
        asked, out, length = self._asked, socket.tx_data[start:end], self._lengths[start:end]
        key, run = self._state.secret, self._state.run
        if self._known:
            tags = self._names.tags(key, run, addresses[start:end], asked.attempt, asked.kind)
            encode_fixed(out, length, self._known, asked.qtype, probe_ids(tags), edns_size)
        elif start < end:
            encode_probes(
                self._names, out, length, addresses[start:end], asked.attempt, asked.kind, asked.step, asked.qtype,
                key, run, edns_size,
            )  # fmt: skip

    def _refuse(self) -> None:
        """End because of the machine, not of the hosts: whom it would not let us ask shall be asked when it does."""
        raise SystemRefusal(
            f"the system lets no probe out ({os.strerror(self._errno)}): look at the routes and the firewall of this "
            "machine; the same command continues from there"
        )

    # Receive ----------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take what came, but no more than a few batches, so that a flood does not stop the sending."""
        asked = self._asked
        attempt = asked.attempt if asked.kind == Kind.SWEEP else self._plan.probe.attempts
        for socket in self._sockets:
            for _ in range(RECEIVE_TURNS):
                count = socket.receive()
                if count == 0:
                    break
                rows = self._matcher.replies(
                    socket.received, socket.rx[:count], attempt=attempt, now_us=self._clock.now_us(),
                    out=self._replies.room(count),
                )  # fmt: skip
                self._book(rows)
                if count < self._batch:
                    break
            icmp, quoted = socket.errors()
            if len(icmp):
                rows = self._replies.room(len(icmp))
                rows[:] = self._matcher.errors(
                    icmp, quoted, kind=asked.kind, attempt=asked.attempt, now_us=self._clock.now_us()
                )
                self._book(rows)

    def _book(self, rows: Rows) -> None:
        """Learn from the rows in the last `room`, count them, and keep them, within bounds."""
        counts = self._marks.take(rows, self._window).outcomes
        if counts[Outcome.ANSWERED] < len(rows):
            kept = np.ones(len(rows), np.bool_)
            for outcome in (Outcome.MISMATCHED, Outcome.FORGED, Outcome.MALFORMED):
                room = max(STRAY_ROWS - self._counts[outcome.name.lower()], 0)
                if counts[outcome] > room:
                    kept[np.flatnonzero(rows["outcome"] == outcome)[room:]] = False
        else:
            kept = None
        for outcome in Outcome:
            self._counts[outcome.name.lower()] += counts[outcome]
        if self._counts["answered"] + self._counts["icmp"] > REPEATS * (self._counts["sent"] + BATCH):
            mine = rows["index"] >= 0  # one true reply, repeated without end
            kept = ~mine if kept is None else kept & ~mine
        count = len(rows)
        if kept is not None and not kept.all():
            count = int(np.count_nonzero(kept))
            rows[:count] = rows[kept]
        self._replies.keep(count)

    # Record -----------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """What was sent first, of that which is not settled, is."""
        _, rows = self._unsettled.popleft()
        self._settled.append(rows)
        self._settled_rows += len(rows)

    def _checkpoint(self, *, everything: bool = False) -> None:
        """Hand what is settled to the recorder; not now when it is busy, unless `everything` has to go."""
        if not everything and (self._recorder.full or not (self._settled or self._replies)):
            return
        if self._refused_in_a_row and self._counts["sent"] == 0:
            self._refuse()
        probes, self._settled, self._settled_rows = self._settled, [], 0
        self._recorder.put(self._asked, probes, self._replies.take(), self._with_counts())
        self._checkpointed_us = self._clock.monotonic_us()

    def _with_counts(self) -> states.State:
        return msgspec.structs.replace(self._state, counts=dict(self._counts))

    def _report(self, now: int) -> None:
        self._reported_us = now
        self._take_rate(now)
        self._dropped = sum(socket.dropped for socket in self._sockets)
        if self._on_progress is not None:
            self._on_progress(self._progress())

    def _take_rate(self, now: int) -> None:
        """What was sent since the last report that is long enough ago; never more than the pace lets out."""
        lately, sent = self._lately, self._counts["sent"]
        while len(lately) > 1 and sent - lately[1][1] >= RATE_PROBES and now - lately[1][0] >= RATE_US:
            lately.popleft()
        self._rate = min((sent - lately[0][1]) * 1e6 / max(now - lately[0][0], 1), self._most_pps)
        if sent > lately[-1][1]:
            lately.append((now, sent))
        if self._rate and (not self._supply.exhausted or self._rate_sending == 0):
            self._rate_sending = self._rate

    def _progress(self) -> ProbeProgress:
        number = min(self._state.round, len(self._rounds) - 1)
        asked, counts = self._rounds[number], self._counts
        supply = getattr(self, "_supply", None)
        share = 1.0 if self._state.complete else supply.share if supply else 0.0
        return ProbeProgress(
            kind=KINDS[asked.kind], attempt=asked.attempt, round=number + 1, of=len(self._rounds), share=share,
            targets=self._order.size - self._left_out, sent=counts["sent"],
            answered=self._marks.answered.count - self._marks.refused,
            recursive=self._marks.recursive.count, rate=self._rate, replies=counts["answered"], icmp=counts["icmp"],
            forged=counts["forged"], malformed=counts["malformed"], mismatched=counts["mismatched"],
            errors=counts["errors"], dropped=self._dropped, time_left_s=self._time_left_s(),
            complete=self._state.complete,
        )  # fmt: skip

    def _time_left_s(self) -> float:
        """How long the rest will take: to send it, as fast as lately, and to wait as `_linger` does.

        Who has not been asked yet counts as those who have been: silent, or open, as often.
        """
        if self._state.complete:
            return 0.0
        later = self._rounds[self._state.round + 1 :]
        sweeps = sum(asked.kind == Kind.SWEEP for asked in later)
        sweeping = self._asked.kind == Kind.SWEEP
        size, left = self._order.size, self._supply.left
        silent, recursive = float(size - self._marks.answered.count), float(self._marks.recursive.count)
        if sweeping and self._asked.attempt == 1 and left < size:
            silent, recursive = max(silent - left, 0) * size / (size - left), recursive * size / (size - left)
        probes = left + sweeps * silent + (len(later) - sweeps) * recursive
        waits = sweeps + (len(later) > sweeps)
        wait_us = self._timeout_us if sweeping or not later else 0
        if self._supply.exhausted and wait_us:
            last_us = self._unsettled[-1][0] if self._unsettled else 0
            wait_us = max(last_us + self._timeout_us - self._clock.monotonic_us(), 0)
        return probes / (self._rate_sending or self._most_pps) + (wait_us + waits * self._timeout_us) / 1e6

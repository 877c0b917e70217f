"""Every query becomes a row: gathered in blocks by the serving loop, turned to columns and written by a thread."""

import os
from queue import SimpleQueue
from threading import Condition, Thread, get_native_id
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dnsonde.authority.answer import Answer
from dnsonde.clock import Clock
from dnsonde.errors import SystemRefusal
from dnsonde.table.often import between_us
from dnsonde.table.store import Writer
from dnsonde.wire.batch import Batch
from dnsonde.wire.datagram import DATAGRAM
from dnsonde.wire.message import MESSAGE, PROBE_NAME
from dnsonde.wire.name import Kind, NameStatus, run_text
from dnsonde.wire.text import name_text_into

OUTCOMES = ("answered", "truncated", "slipped", "limited", "dropped")
ANSWERED, TRUNCATED, SLIPPED, LIMITED, DROPPED = range(len(OUTCOMES))

BLOCK = 16_384  # rows that are handed to the thread at once
TEXT = 2 << 20  # octets of names in a block; ordinary ones take half of it
BLOCKS = 16  # blocks that may wait before the loop does
NICENESS = 5  # of the writing thread, on top of the process's own
# Rows wait no longer: a prober elsewhere does not ask again what was seen here before this process was killed. One
# beside us says when it must know (`Sightings.want`).
LONGEST_US = 10_000_000


class _Block:
    """Rows as they come; whole records are copied as octets, since that is one plain copy a batch."""

    def __init__(self) -> None:
        self.rows = 0
        self.messages = np.empty(BLOCK, MESSAGE)
        self.parsed = np.empty(BLOCK, PROBE_NAME)
        self.peers = np.empty(BLOCK, DATAGRAM)
        self.rcode = np.empty(BLOCK, np.uint16)
        self.outcome = np.empty(BLOCK, np.uint8)
        self.verified = np.empty(BLOCK, np.bool_)
        self.tcp = np.empty(BLOCK, np.bool_)
        self.query_bytes = np.empty(BLOCK, np.int32)
        self.response_bytes = np.empty(BLOCK, np.int32)
        self.text = np.empty(TEXT, np.uint8)  # qnames, one behind the other
        self.ends = np.zeros(BLOCK + 1, np.int32)

    def fits(self, rows: int, octets: int) -> bool:
        """Whether there is room for so many more rows with so many octets of names."""
        return self.rows + rows <= BLOCK and int(self.ends[self.rows]) + 4 * octets <= TEXT

    def names(self) -> pa.Array:
        """The qnames, copied, as the block is used again."""
        ends = self.ends[: self.rows + 1].copy()
        octets = self.text[: ends[-1]].copy()
        return pa.StringArray.from_buffers(self.rows, pa.py_buffer(ends), pa.py_buffer(octets))


class Sightings:
    """Collects the rows of the sighting table and writes them in the background.

    flush_us: rows are on disk, to be joined with a run that is under way, at most about this long after they came; the
    longer it serves, the longer that takes (`table.often`), ten seconds at most.
    An error of the thread (SystemRefusal: disk full) is raised by the next `add`, `tick` or `close`; the rows stay
    with the writer.
    """

    def __init__(self, writer: Writer, clock: Clock, *, flush_us: int = 1_000_000) -> None:
        self._writer, self._clock, self._flush_us = writer, clock, flush_us
        self._block = _Block()
        self._made = 1
        self._began_us = clock.monotonic_us()
        self._due_us: int | None = None  # when rows that have come must be on disk; None: all are
        self._queue: SimpleQueue[tuple[_Block, int | None] | None] = SimpleQueue()
        self._free: SimpleQueue[_Block] = SimpleQueue()  # used again: fresh memory costs a fault a page
        self._failure: BaseException | None = None
        # Wishes (`want`) that were spoken, handed to the thread, and granted; `_changed` when these do.
        self._changed = Condition()
        self._wanted = self._handed = self._granted = 0
        self._closed = False
        _warm()
        self._thread: Thread | None = Thread(target=self._work, name="sightings", daemon=True)
        self._thread.start()

    def add(
        self,
        requests: Batch,
        messages: NDArray[np.void],
        parsed: NDArray[np.void],
        peers: NDArray[np.void],
        answered: Answer,
        outcome: NDArray[np.uint8],
        response_bytes: NDArray[np.int32],
        *,
        tcp: bool,
    ) -> None:
        """Take one batch, at most BLOCK rows, its records contiguous."""
        n = len(messages)
        if not self._block.fits(n, int(messages["qname_length"].sum())):
            self._hand_over()
        block = self._block
        if self._due_us is None:
            now = self._clock.monotonic_us()
            self._due_us = now + between_us(self._flush_us, now - self._began_us, LONGEST_US)
        at = slice(block.rows, block.rows + n)
        for kept, new in ((block.messages, messages), (block.parsed, parsed), (block.peers, peers)):
            kept[at].view(np.uint8)[:] = new.view(np.uint8)
        block.rcode[at] = answered.replies["rcode"]
        block.outcome[at] = outcome
        block.verified[at] = answered.verified
        block.tcp[at] = tcp
        block.query_bytes[at] = requests.length
        block.response_bytes[at] = response_bytes
        ends = block.ends[block.rows : block.rows + n + 1]
        before = int(ends[0])
        name_text_into(requests, messages, block.text[before:], ends)
        ends += before
        block.rows += n

    def tick(self) -> None:
        """Hand over what has waited long enough; to be called at least as often as rows should appear."""
        if self._failure is not None:
            self._raise()
        due = self._due_us is not None and self._clock.monotonic_us() >= self._due_us
        if due or self._wanted > self._handed:
            self._due_us = None
            self._handed = self._wanted
            self._hand_over(self._handed)

    def want(self) -> int:
        """Wish, from any thread, that rows which came until the next `tick` be on disk soon; what to `wait` for."""
        with self._changed:
            self._wanted += 1
            return self._wanted

    def wait(self, wish: int) -> bool:
        """Wait until a wish is granted; False where it never will be, as writing failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._granted >= wish or self._closed)
            return self._granted >= wish

    def close(self) -> None:
        """Write what is left and end the thread and the writer; closing twice does nothing."""
        if self._thread is None:
            return
        wishes = self._wanted
        self._queue.put((self._block, self._handed))
        self._queue.put(None)
        self._thread.join()
        self._thread = None
        failure, self._failure = self._failure, None
        try:
            self._writer.close()  # what could not be written before is tried once more
            if failure is not None and not isinstance(failure, SystemRefusal):
                raise failure
            self._granted = wishes
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _hand_over(self, wishes: int | None = None) -> None:
        """Give the block to the thread; to be put on disk where that is due, and grants so many `wishes`."""
        self._queue.put((self._block, wishes))
        if self._made < BLOCKS and self._free.empty():
            self._block = _Block()
            self._made += 1
        else:
            self._block = self._free.get()
        if self._failure is not None:
            self._raise()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        assert failure is not None
        raise failure

    def _work(self) -> None:
        # Writing gives way to answering: what it would take in one go, an asker would wait for.
        os.setpriority(os.PRIO_PROCESS, get_native_id(), NICENESS)
        while True:
            task = self._queue.get()
            if task is None:
                return
            block, wishes = task
            try:
                if block.rows:
                    self._writer.append(columns(block))
                if wishes is not None:
                    self._writer.flush()
                    self._grant(wishes)
            except Exception as failure:  # noqa: BLE001  whatever it is, the loop raises it
                self._failure = failure
            block.rows = 0
            self._free.put(block)

    def _grant(self, wishes: int) -> None:
        with self._changed:
            if self._failure is None:  # else rows may be missing, and the loop is about to end
                self._granted = wishes
                self._changed.notify_all()


def columns(block: _Block) -> dict[str, Any]:
    """A block's rows as the sighting table has them."""
    n = block.rows
    messages, parsed, peers = block.messages[:n], block.parsed[:n], block.peers[:n]
    good = messages["status"] == 0
    probe = (parsed["status"] == NameStatus.PROBE) & good
    # A name that was cut short on the way to a probe's (RFC 9156) still says whose run it is of.
    of_run = (parsed["status"] == NameStatus.EMPTY) & good | probe
    kind = parsed["kind"]
    stepped = probe & ((kind == Kind.SIZE) | (kind == Kind.CHAIN))
    edns = messages["edns_version"] >= 0
    ecs = messages["ecs_family"] > 0
    outcome = block.outcome[:n]
    flags = messages["flags"]
    return {
        "time_us": peers["time_us"],
        "egress_net": peers["net"],
        "egress_host": peers["host"],
        "egress_port": peers["port"],
        "transport": _words(block.tcp[:n].astype(np.int8), ("udp", "tcp")),
        "outcome": _words(outcome, OUTCOMES),
        "status": messages["status"],
        "id": messages["id"],
        "opcode": messages["opcode"],
        "run": _runs(parsed["run"], of_run),
        "kind": _words(np.minimum(kind, len(Kind) - 1), [k.name.lower() for k in Kind], probe),
        "step": (parsed["step"], stepped),
        "target_net": (parsed["target"]["net"], probe),
        "target_host": (parsed["target"]["host"], probe),
        "attempt": (parsed["attempt"], probe),
        "tag": (parsed["tag"], probe),
        "qname": block.names(),
        "qtype": messages["qtype"],
        "qclass": messages["qclass"],
        "mixed_case": messages["mixed_case"],
        "rd": (flags & 0x0100) != 0,
        "edns_size": (messages["edns_size"], edns),
        "edns_do": ((messages["edns_flags"] & 0x8000) != 0, edns),
        "ecs_net": (messages["ecs"]["net"], ecs),
        "ecs_host": (messages["ecs"]["host"], ecs),
        "ecs_source": (messages["ecs_source"], ecs),
        "cookie": messages["cookie_length"] > 0,
        "verified": block.verified[:n] | block.tcp[:n],
        "ip_ttl": (peers["ttl"], peers["ttl"] >= 0),
        "query_bytes": block.query_bytes[:n],
        "rcode": (block.rcode[:n], outcome < LIMITED),
        "response_bytes": block.response_bytes[:n],
    }


def _warm() -> None:
    """Load what `columns` needs, which takes a moment that no asker should wait for."""
    block = _Block()
    for array in (block.messages, block.parsed, block.peers):
        array[:1] = np.zeros(1, array.dtype)
    for plain in (
        block.rcode,
        block.outcome,
        block.verified,
        block.tcp,
        block.query_bytes,
        block.response_bytes,
    ):
        plain[:1] = 0
    block.rows = 1
    columns(block)


def _words(codes: NDArray[Any], words: Any, valid: NDArray[np.bool_] | None = None) -> pa.Array:
    mask = None if valid is None else ~valid
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8), mask=mask), list(words)).cast(
        pa.string()
    )


def _runs(run: NDArray[np.uint64], valid: NDArray[np.bool_]) -> pa.Array:
    """Run labels as text; each is spelled once, however many rows have it."""
    found, which = np.unique(np.where(valid, run, 0), return_inverse=True)
    labels = pa.array([run_text(int(number)) for number in found], pa.string())
    return labels.take(pa.array(which, mask=~valid))

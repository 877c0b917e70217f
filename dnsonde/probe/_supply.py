"""Whom to ask next: the order's targets, those that a prefix's ceiling has put off first."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from dnsonde.net.pace import Pace
from dnsonde.probe._recover import Marks
from dnsonde.probe.order import Order, Scope
from dnsonde.wire.name import Kind

PUT_OFF = 65_536  # targets that may wait for their prefix
CHUNK = 4096  # positions of the order looked at in one go

I64 = NDArray[np.int64]
NOBODY = np.zeros(0, np.int64)


class Supply:
    """The targets of one round, each once, in the plan's order as far as the prefixes' ceilings allow.

    The sweep asks whoever has not answered, the other kinds whoever proved recursive; never whom `marks.done` names,
    nor who is not in `allowed`, where that is given.
    """

    def __init__(
        self, scope: Scope, order: Order, marks: Marks, kind: int, allowed: Scope | None = None
    ) -> None:
        self._scope, self._order, self._marks, self._kind = scope, order, marks, kind
        self._allowed = allowed
        self._ready, self._at, self._position = NOBODY, 0, 0
        self._found = 0  # targets of this round among the positions looked at, those of `marks.done` too
        self._put_off: deque[I64] = deque()
        self._waiting = 0

    @property
    def exhausted(self) -> bool:
        """Nobody is left to ask in this round."""
        return self._waiting == 0 and self._at >= len(self._ready) and self._position >= self._order.size

    @property
    def left(self) -> float:
        """How many are still to be asked: exact in a first sweep, later as far as can be told by those found so far."""
        beyond = self._order.size - self._position
        return self._behind + beyond * (self._found / self._position if self._position else 1.0)

    @property
    def share(self) -> float:
        """How much of the round is done, 0 to 1; a shard may have nobody in it, and a round nobody to ask."""
        if not self._found:
            return self._position / self._order.size if self._order.size else 1.0
        return (self._position / self._order.size) * (1 - self._behind / self._found)

    @property
    def _behind(self) -> int:
        """Targets found and not given out yet."""
        return len(self._ready) - self._at + self._waiting

    def next(self, count: int, pace: Pace) -> tuple[I64, NDArray[np.void]]:
        """At most `count` targets that may be asked now: positions in the scope, and addresses.

        None may be allowed now though some are left; they come again. Whoever is given counts as sent for its prefix.
        """
        index = self._old(count if self._waiting >= PUT_OFF else (count + 1) // 2)
        if self._waiting < PUT_OFF and len(index) < count:
            fresh = self._fresh(count - len(index))
            index = np.concatenate([index, fresh]) if len(index) else fresh
        addresses = self._scope.at(index)
        admitted = pace.admit(addresses)
        if admitted.all():
            return index, addresses
        self._put_off.append(index[~admitted])
        self._waiting += len(self._put_off[-1])
        return index[admitted], addresses[admitted]

    def _old(self, count: int) -> I64:
        taken = []
        while self._put_off and count:
            block = self._put_off.popleft()
            if len(block) > count:
                self._put_off.appendleft(block[count:])
                block = block[:count]
            taken.append(block)
            count -= len(block)
            self._waiting -= len(block)
        return np.concatenate(taken) if taken else NOBODY

    def _fresh(self, count: int) -> I64:
        while self._at >= len(self._ready) and self._position < self._order.size:
            until = min(self._position + CHUNK, self._order.size)
            index = self._order.at(np.arange(self._position, until))
            self._position = until
            marks = self._marks
            wanted = ~marks.answered.get(index) if self._kind == Kind.SWEEP else marks.recursive.get(index)
            if marks.done.count:
                done = marks.done.get(index)
                self._found += int(np.count_nonzero(done))
                wanted &= ~done
            index = index[wanted]
            self._found += len(index)
            if self._allowed is not None:
                index = index[self._allowed.contains(self._scope.at(index))]
            self._ready, self._at = index, 0
        taken = self._ready[self._at : self._at + count]
        self._at += len(taken)
        return taken

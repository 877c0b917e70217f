"""How long a connection is waited for: whoever says nothing, or never to its end, shall keep nobody else out.

Uvicorn serves so many connections at once and turns all others away, but has no time for the first request of one, nor
for the rest of one that has begun.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Patience(H11Protocol):
    """One connection. ask_s: for a whole request, the first or the next; answer_s: for the answer to be taken."""

    ask_s = 15.0
    answer_s = 120.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._end: asyncio.TimerHandle | None = None
        self._answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait(self.ask_s)

    def data_received(self, data: bytes) -> None:
        """Once a request is there as a whole, wait for its answer."""
        super().data_received(data)
        cycle = self.cycle  # the last one's, until the next request is there
        if cycle is not None and not (cycle.more_body or cycle.response_complete or self._answering):
            self._answering = True
            self._wait(self.answer_s)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._answering = False
        self._wait(self.ask_s)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        if self._end is not None:
            self._end.cancel()

    def _wait(self, seconds: float) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = self.loop.call_later(seconds, self.transport.abort)

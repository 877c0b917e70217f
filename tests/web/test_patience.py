"""Who keeps a connection and asks nothing, half a question, or takes no answer, is shown out; who asks is served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from dnsonde.web._patience import Patience

WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENCE_S = 20
LARGE = 64 << 20  # octets: more than the system keeps for who does not read

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Short(Patience):
    ask_s = 0.2
    answer_s = 0.4
    over: asyncio.Event

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()


async def app(scope: Any, _receive: Any, send: Any) -> None:
    size = LARGE if scope["path"] == "/large" else 2
    length = (b"content-length", str(size).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": bytes(size)})


@asynccontextmanager
async def connected(kind: type[Patience]) -> AsyncIterator[Streams]:
    Short.over = asyncio.Event()
    config = uvicorn.Config(app, http=kind, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60)
    config.load()
    make = partial(kind, config=config, server_state=ServerState(), app_state={})
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


def on_connection(kind: type[Patience], said: Callable[[Streams], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), connected(kind) as streams:
            await said(streams)

    asyncio.run(run())


async def shown_out(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionResetError):
        await reader.read()
    return True


@pytest.mark.parametrize(
    "said", [b"", WHOLE[:10], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_who_does_not_ask_to_the_end_is_shown_out(said: bytes) -> None:
    async def talk(streams: Streams) -> None:
        streams[1].write(said)
        assert await shown_out(streams[0])

    on_connection(Short, talk)


def test_who_dribbles_has_no_more_time_than_others() -> None:
    async def talk(streams: Streams) -> None:
        reader, writer = streams
        out = asyncio.ensure_future(shown_out(reader))
        while not out.done():
            writer.write(b"G")
            await asyncio.wait([out], timeout=0.05)

    on_connection(Short, talk)


def test_who_had_an_answer_has_no_more_time_to_ask_again_than_before() -> None:
    class Generous(Short):
        answer_s = 2.0 * PATIENCE_S

    async def talk(streams: Streams) -> None:
        reader, writer = streams
        writer.write(WHOLE)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        out = asyncio.ensure_future(shown_out(reader))
        while not out.done():
            writer.write(b"G")
            await asyncio.wait([out], timeout=0.05)

    on_connection(Generous, talk)


def test_who_takes_no_answer_is_shown_out() -> None:
    async def talk(streams: Streams) -> None:
        _, writer = streams
        writer.write(WHOLE.replace(b"/ ", b"/large ", 1))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await Short.over.wait()

    on_connection(Short, talk)


def test_who_asks_again_and_again_is_served() -> None:
    async def talk(streams: Streams) -> None:
        reader, writer = streams
        for _ in range(3):
            writer.write(WHOLE)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == bytes(2)

    on_connection(Patience, talk)

"""Sockets of ours on connections of this process, with what they tell."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.timeouts import Timeouts
from server.websocket.accept import Handshake
from server.websocket.line import Line, Memory
from server.websocket.socket import Socket
from tests.processes import until

HURRIED = Timeouts(heartbeat=0.2, unread_messages=0.4, client_check=0.05, linger=0.4)


class Told:
    """A listener that keeps what it is told; `on_message` is called first."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.ends: list[tuple[int, str]] = []
        self.fullness: list[bool] = []
        self.on_message: Callable[[bytes], None] = lambda text: None

    def message(self, text: bytes) -> None:
        self.on_message(text)
        self.texts.append(text)

    def closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))

    def full(self, is_full: bool) -> None:
        self.fullness.append(is_full)

    async def end(self) -> tuple[int, str]:
        await until(lambda: self.ends)
        (end,) = self.ends
        return end


class End:
    """The server's end of a connection; `lost` counts how often it was told to have gone."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.told = Told()
        self.lost = 0
        self.timeouts = timeouts
        self.is_room_for: Callable[[int], bool] = lambda size: True
        self.is_room_to_send: Callable[[int], bool] = lambda size: True
        self.port = 0
        self.transport: asyncio.Transport
        self.socket: Socket

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def leave(self, _: BaseException | None) -> None:
        self.lost += 1


class _Upgrading(asyncio.Protocol):
    def __init__(self, end: End) -> None:
        self._end = end
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        head, _, begun = self._head.partition(b"\r\n\r\n")
        _, *lines = head.decode().split("\r\n")
        headers = [(name, value) for name, value in (line.split(": ", 1) for line in lines)]
        frames, answer = Handshake("GET", "1.1", headers, "realtime").accept({})
        self._transport.write(answer)
        end = self._end
        end.transport = self._transport
        line = Line(self._transport, end.leave, begun)
        memory = Memory(lambda size: end.is_room_for(size), lambda size: end.is_room_to_send(size))
        end.socket = Socket(line, frames, end.told, end.timeouts, memory)


async def close_of(client: ClientConnection) -> tuple[int, str]:
    """What the client is closed with; it may have sent something that cannot be sent to its end."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


@asynccontextmanager
async def served(timeouts: Timeouts) -> AsyncIterator[End]:
    """One end, for one connection."""
    end = End(timeouts)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Upgrading(end), "127.0.0.1", 0)
    end.port = server.sockets[0].getsockname()[1]
    try:
        yield end
    finally:
        server.close()


def with_client(
    test: Callable[[End, ClientConnection], Awaitable[None]], timeouts: Timeouts = HURRIED
) -> None:
    """Runs `test` with an end of ours, and a client of the usual library at the other one."""

    async def run() -> None:
        async with served(timeouts) as end:
            client = await connect(end.url, max_size=None, ping_interval=None, proxy=None)
            try:
                await test(end, client)
            finally:
                client.transport.abort()  # which may be paused

    uvloop.run(run())

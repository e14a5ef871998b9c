"""The yardstick of voice: a relay with the same library on both sides, that reads no message.

Usage: python -m tests.bench.voice_bare <port> <upstream>, which begins with ws.
"""

import asyncio
import sys
from typing import cast

import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

_upstream = ""


class _End(asyncio.Protocol):
    other: "_End"
    transport: asyncio.Transport
    frames: ServerProtocol | ClientProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        frames = self.frames
        frames.receive_data(data)
        for event in frames.events_received():
            self.take(event)
        self.flush()

    def take(self, event: object) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            other = self.other
            if other.frames.state is OPEN:
                other.frames.send_text(event.data)
                other.flush()

    def flush(self) -> None:
        for data in self.frames.data_to_send():
            if data:
                self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.other.transport.close()


class _Upstream(_End):
    def __init__(self, client: "_Client") -> None:
        self.other = client
        self.frames = ClientProtocol(parse_uri(_upstream), max_size=2**23)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.frames.send_request(self.frames.connect())  # type: ignore[union-attr]
        self.flush()


class _Client(_End):
    def __init__(self) -> None:
        self.frames = ServerProtocol(max_size=2**22)

    def take(self, event: object) -> None:
        if isinstance(event, Request):
            self.transport.pause_reading()
            self._opening = asyncio.create_task(self._open(event))
        else:
            super().take(event)

    async def _open(self, request: Request) -> None:
        # The client waits for the first message, and so until both ends are open.
        frames = cast(ServerProtocol, self.frames)
        frames.send_response(frames.accept(request))
        self.flush()
        uri = parse_uri(_upstream)
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_connection(lambda: _Upstream(self), uri.host, uri.port)
        self.transport.resume_reading()


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Client, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    _upstream = sys.argv[2]
    uvloop.run(main(int(sys.argv[1])))

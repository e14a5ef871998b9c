"""Join: a WebSocket at a provider, over a connection to it."""

import asyncio
from collections.abc import Mapping

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Response
from websockets.uri import parse_uri

from server.timeouts import Timeouts
from server.websocket.line import Line, Memory
from server.websocket.socket import Listener, Socket

MOST_BYTES = 8 * 1024 * 1024
"""Of a message of a provider: some clients take no larger ones."""


MOST_ANSWER_BYTES = 16 * 1024
"""Of an answer to a handshake: a page that says no, of which only a word is wanted."""
_END_OF_HEAD = b"\r\n\r\n"


class NotJoined(Exception):
    """There was no answer, or none that can be read."""


class Refused(Exception):
    """The answer was another than 101, of which nothing is followed or obeyed."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


async def join(
    line: Line,
    url: str,
    headers: Mapping[str, str],
    listener: Listener,
    timeouts: Timeouts,
    memory: Memory,
) -> Socket:
    """`url` begins with ws or wss. Waits for as long as the caller does. Raises Refused, NotJoined;
    the connection is closed then."""
    try:
        frames = ClientProtocol(parse_uri(url), max_size=MOST_BYTES)
        request = frames.connect()
        for name, value in headers.items():
            request.headers[name] = value
        answer = _Answer(line, frames)
        frames.send_request(request)
        line.transport.writelines(frames.data_to_send())
        response = await answer.came
        if response is None or (response.status_code == 101 and frames.handshake_exc is not None):
            raise NotJoined(type(frames.handshake_exc).__name__)
        if response.status_code != 101:
            lower = {name.lower(): value for name, value in response.headers.raw_items()}
            raise Refused(response.status_code, lower, bytes(response.body or b""))
    except BaseException:
        line.transport.abort()
        raise
    return Socket(line._replace(begun=bytes(answer.rest)), frames, listener, timeouts, memory)


class _Answer(asyncio.Protocol):
    """Takes what comes on a connection until the answer to the handshake is there; `rest` is what
    came behind it, of which nothing is read here: it may take long."""

    def __init__(self, line: Line, frames: ClientProtocol) -> None:
        self._line = line
        self._frames = frames
        self._size = 0
        self._has_head = False
        self.rest = bytearray()
        self.came: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        line.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        if self.came.done():
            return
        self._size += len(data)
        if not self._has_head and (end := self.rest.find(_END_OF_HEAD, 0, MOST_ANSWER_BYTES)) >= 0:
            self._has_head = True
            self._read(end + len(_END_OF_HEAD))
        if self._size > MOST_ANSWER_BYTES:
            self._end(None)
        elif self._has_head and self.rest and not self.came.done():
            self._read(len(self.rest))

    def _read(self, size: int) -> None:
        data, self.rest = bytes(self.rest[:size]), self.rest[size:]
        self._frames.receive_data(data)
        self._look()

    def eof_received(self) -> None:
        if not self.came.done():
            self._frames.receive_eof()
            self._look()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end(None)
        self._line.lost(exc)

    def _look(self) -> None:
        first = self._frames.events[0] if self._frames.events else None
        if isinstance(first, Response):
            del self._frames.events[0]
            self._line.transport.pause_reading()
            self._end(first)
        elif isinstance(self._frames.handshake_exc, InvalidHandshake):
            self._end(None)

    def _end(self, response: Response | None) -> None:
        if not self.came.done():
            self.came.set_result(response)

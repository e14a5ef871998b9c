"""Both ends of a session in the test's own process: a client's, and one at a double."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.websocket.socket import Listener

Event = dict[str, Any]
SECONDS = 10


class Deaf:
    """Listens to nothing."""

    def message(self, text: bytes) -> None:
        pass

    def closed(self, code: int, reason: str) -> None:
        pass

    def full(self, is_full: bool) -> None:
        pass


class ClientEnd:
    """A client, and the socket that the server has of it."""

    def __init__(self) -> None:
        self.listener: Listener = Deaf()
        self.events: list[Event] = []
        """That it was told."""
        self.texts: list[bytes] = []
        self.code: int | None = None
        self.reason = ""
        self._waiting: deque[bytes] = deque()
        self._is_paused = False
        self._news = asyncio.Event()

    # As the session sees it.

    def send(self, text: bytes | str) -> None:
        if self.code is None:
            raw = text.encode() if isinstance(text, str) else text
            self.texts.append(raw)
            self.events.append(orjson.loads(raw))
            self._news.set()

    def close(self, code: int, reason: str = "") -> None:
        if self.code is None:
            self.code, self.reason = code, reason
            self._news.set()

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        asyncio.get_running_loop().call_soon(self._deliver)

    # As the test does.

    def say(self, kind: str | bytes, **members: Any) -> None:
        """An event, or any message."""
        raw = kind if isinstance(kind, bytes) else orjson.dumps({"type": kind, **members})
        self._waiting.append(raw)
        self._deliver()

    def leave(self, code: int = 1006) -> None:
        if self.code is None:
            self.code = code
            self.listener.closed(code, "")

    async def until(self, kind: str, count: int = 1) -> Event:
        """The event of this type, of which there are `count` by then."""
        found: list[Event] = await self.wait(lambda: self.of(kind)[count - 1 :])
        return found[0]

    async def wait(self, look: Callable[[], Any]) -> Any:
        """What `look` finds, once that is something."""
        async with asyncio.timeout(SECONDS):
            while not (found := look()):
                self._news.clear()
                await self._news.wait()
        return found

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def _deliver(self) -> None:
        while self._waiting and not self._is_paused:
            self.listener.message(self._waiting.popleft())


class DoublesEnd:
    """The socket that the server has of a session at a double."""

    def __init__(self, connection: ClientConnection) -> None:
        self.listener: Listener = Deaf()
        self.sent: list[Event] = []
        self._connection = connection
        self._unsent: asyncio.Queue[str | None] = asyncio.Queue()
        self._may_read = asyncio.Event()
        self._is_deaf = False
        self._reading = asyncio.create_task(self._read())
        self._writing = asyncio.create_task(self._write())

    @classmethod
    async def open(cls, url: str, model: str) -> tuple["DoublesEnd", Event]:
        """With its `session.created`."""
        headers = {"Authorization": "Bearer sk-of-the-tenant"}
        address = f"{url.replace('http', 'ws', 1)}/v1/realtime?model={model}"
        connection = await connect(address, additional_headers=headers, compression=None)
        return cls(connection), orjson.loads(await connection.recv())

    def send(self, text: bytes | str) -> None:
        raw = text.decode() if isinstance(text, bytes) else text
        self.sent.append(orjson.loads(raw))
        self._unsent.put_nowait(raw)

    def close(self, code: int, reason: str = "") -> None:
        self._is_deaf = True
        self._unsent.put_nowait(None)

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def of(self, kind: str) -> list[Event]:
        """That were sent."""
        return [event for event in self.sent if event["type"] == kind]

    async def ended(self) -> None:
        await asyncio.wait([self._reading, self._writing], timeout=SECONDS)

    async def _read(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                message = await self._connection.recv(decode=False)
                await self._may_read.wait()
                if not self._is_deaf:
                    self.listener.message(message)
        except ConnectionClosed as closed:
            frame = closed.rcvd
            self.listener.closed(frame.code if frame else 1006, frame.reason if frame else "")
        finally:
            self._unsent.put_nowait(None)

    async def _write(self) -> None:
        try:
            while (text := await self._unsent.get()) is not None:
                await self._connection.send(text)
        except ConnectionClosed:
            pass
        await self._connection.close()

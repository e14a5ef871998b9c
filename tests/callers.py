"""Many callers at once: what a synchronous client cannot do."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from tests.api import User
from tests.processes import Server


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply; the server read the request and answered between `sent` and `received` (s)."""

    status: int
    body: Any
    headers: dict[str, str]
    sent: float
    received: float

    @property
    def seconds(self) -> float:
        return self.received - self.sent


class Load:
    """Callers of one server, over at most `connections` connections that are kept open."""

    def __init__(self, url: str, connections: int = 64) -> None:
        self.url = url
        self._connections = connections

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=30)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: object = None
    ) -> Answer:
        # By the clock that Redis reads, which a machine may set right while a test runs.
        sent = time.time()
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(
            method, self.url + path, headers=headers, data=data
        ) as reply:
            text = await reply.read()
        value = orjson.loads(text) if text else None
        names = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status, value, names, sent, time.time())

    async def charge(self, user: User, tokens: int = 1, **headers: str) -> Answer:
        path = f"/{user.api.tenant_id}/charges"
        return await self.call("POST", path, {**user.headers, **headers}, {"tokens": tokens})

    async def balance(self, user: User) -> Answer:
        return await self.call("GET", f"/{user.api.tenant_id}/balance", user.headers)


@asynccontextmanager
async def each_worker(server: Server, connections: int = 32) -> AsyncIterator[list[Load]]:
    """For each worker a Load whose connections are all open, and to that worker."""
    pids = server.worker_pids()
    async with AsyncExitStack() as stack:
        loads = []
        for pid in pids:
            load = await stack.enter_async_context(Load(server.url, connections))
            # The workers share a listening socket, and who is stopped accepts nothing.
            with _stopped([other for other in pids if other != pid]):
                await asyncio.gather(*(load.call("GET", "/livez") for _ in range(connections)))
            loads.append(load)
        yield loads


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

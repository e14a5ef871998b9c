"""Where Redis is: one server, the primary that Sentinels name, or the primaries of a Cluster.

A topology has, for each primary, two pipelines: a fast one, and a bulk one for what has large
replies or no hurry, so that neither delays a charge.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from server.pipeline import Connect, Pipeline

WATCH_SECONDS = 0.5

Prepare = Callable[[AbstractConnection], Awaitable[None]]
"""Makes a new connection ready: loads the scripts."""


class Topology(Protocol):
    """The pipelines of one Redis, however many servers it is."""

    async def start(self) -> None:
        """Connects; while it cannot, goes on trying."""

    async def close(self) -> None: ...

    def fast(self, key: str) -> Pipeline:
        """Raises NotSent while no server has this key."""

    def bulk(self, key: str) -> Pipeline: ...

    def primaries(self) -> list[Pipeline]:
        """The bulk pipeline of each."""

    def serving(self) -> list[Pipeline]:
        """The fast pipeline of each."""

    async def connect_all(self) -> list[AbstractConnection]:
        """A new connection to each primary. Raises OSError or RedisError if one fails."""


class OneServer:
    """One Redis at a time; `connect` finds it."""

    def __init__(self, connect: Connect, timeout: float) -> None:
        self._connect = connect
        self._fast = Pipeline(connect, timeout)
        self._bulk = Pipeline(connect, timeout)

    async def start(self) -> None:
        for pipeline in (self._fast, self._bulk):
            pipeline.start()
            await pipeline.tried()

    async def close(self) -> None:
        await self._fast.close()
        await self._bulk.close()

    def fast(self, key: str) -> Pipeline:
        return self._fast

    def bulk(self, key: str) -> Pipeline:
        return self._bulk

    def primaries(self) -> list[Pipeline]:
        return [self._bulk]

    def serving(self) -> list[Pipeline]:
        return [self._fast]

    async def connect_all(self) -> list[AbstractConnection]:
        return [await self._connect()]


def connector(url: str, timeout: float, prepare: Prepare) -> Connect:
    """How to connect to one server. Raises ValueError if the URL cannot be used."""
    pool = ConnectionPool.from_url(
        url,
        protocol=2,  # the RESP3 default fails the first command after the server closed
        retry=Retry(NoBackoff(), 0),  # a retried EVALSHA is a second charge
        socket_timeout=None,  # a pipeline has one deadline for all it reads
        socket_connect_timeout=timeout,
    )
    try:
        pool.make_connection()  # connects nowhere, but finds an option that does not exist
    except TypeError as error:
        raise ValueError(str(error)) from None

    async def connect() -> AbstractConnection:
        connection: AbstractConnection = pool.make_connection()
        try:
            await connection.connect()
            await prepare(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    return connect


class SentinelServer(OneServer):
    """Whatever server the Sentinels call the primary just now.

    `redis+sentinel://[user:password@]host:port,host:port/<service>[/<db>]`; user and password
    are those of the data servers.
    """

    def __init__(self, url: str, timeout: float, prepare: Prepare) -> None:
        """Raises ValueError if the URL cannot be used."""
        self._parts = urlsplit(url)
        self._service, _, self._database = unquote(self._parts.path).strip("/").partition("/")
        if not self._service:
            raise ValueError("redis+sentinel:// needs the service's name: ...host:port/<service>")
        self._server_timeout = timeout
        self._prepare = prepare
        addresses = split_addresses(self._parts, 26379)
        # One that hangs must leave time to ask the others.
        each = timeout / (len(addresses) + 1)
        self._sentinel = Sentinel(
            addresses,
            sentinel_kwargs={
                "socket_timeout": each,
                "socket_connect_timeout": each,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,
            },
        )
        self._primary: tuple[str, int] | None = None
        self._watcher: asyncio.Task[None] | None = None
        super().__init__(self._connect_to_primary, timeout)

    async def start(self) -> None:
        await super().start()
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        await super().close()

    async def _connect_to_primary(self) -> AbstractConnection:
        host, port = await self._sentinel.discover_master(self._service)
        self._primary = (host, port)
        node = node_url(self._parts, host, port, self._database)
        return await connector(node, self._server_timeout, self._prepare_primary)()

    async def _prepare_primary(self, connection: AbstractConnection) -> None:
        await connection.send_command("ROLE")
        role = await connection.read_response()
        if role[0] != b"master":
            raise RedisConnectionError("Sentinel named a server that is not the primary")
        await self._prepare(connection)

    async def _watch(self) -> None:
        """Leaves a primary that was replaced: it can go on accepting writes for 10 s after a
        planned fail-over, and then forgets them."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            with suppress(OSError, RedisError):
                if await self._sentinel.discover_master(self._service) != self._primary:
                    for pipeline in (self._fast, self._bulk):
                        pipeline.reconnect()


def split_addresses(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    """The servers in a URL with several. Raises ValueError."""
    addresses = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{text}")
        if not one.hostname:
            raise ValueError("a server in the Redis URL has no host")
        addresses.append((one.hostname, one.port or default_port))
    return addresses


def node_url(parts: SplitResult, host: str, port: int, database: str = "") -> str:
    """The URL of one server, with TLS and credentials as in the URL of them all."""
    scheme = parts.scheme.partition("+")[0]
    credentials, at, _ = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{credentials}{at}{bracketed}:{port}/{database}{query}"


async def disconnect_all(connections: list[AbstractConnection]) -> None:
    await asyncio.gather(*(connection.disconnect(nowait=True) for connection in connections))

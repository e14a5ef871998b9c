"""Where Redis is: one server, the primary that Sentinels name, or the primaries of a Cluster.

A topology has, for each primary, two pipelines: a fast one, and a bulk one for what has large
replies or no hurry, so that neither delays a charge.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.store.patience import Patience
from server.store.pipeline import Connect, Pipeline

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

    def __init__(self, connect: Connect, patience: Patience) -> None:
        self._connect = connect
        self._fast = Pipeline(connect, patience)
        self._bulk = Pipeline(connect, patience)

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


def connector(url: str, prepare: Prepare) -> Connect:
    """How to connect to one server; who does it sets the limit. Raises ValueError if the URL cannot
    be used."""
    pool = ConnectionPool.from_url(
        url,
        protocol=2,  # the RESP3 default fails the first command after the server closed
        retry=Retry(NoBackoff(), 0),  # a retried EVALSHA is a second charge
        socket_timeout=None,  # a pipeline has one deadline for all it reads
        socket_connect_timeout=None,
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

"""The primary that Sentinels name, wherever it moves to."""

import asyncio
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from server.store.patience import Patience
from server.store.topology import OneServer, Prepare, connector, node_url, split_addresses
from server.tasks import keep_going

WATCH_SECONDS = 0.5


class SentinelServer(OneServer):
    """Whatever server the Sentinels call the primary just now.

    `redis+sentinel://[user:password@]host:port,host:port/<service>[/<db>]`; user and password
    are those of the data servers.
    """

    def __init__(self, url: str, patience: Patience, prepare: Prepare) -> None:
        """Raises ValueError if the URL cannot be used."""
        self._parts = urlsplit(url)
        self._service, _, self._database = unquote(self._parts.path).strip("/").partition("/")
        if not self._service:
            raise ValueError("redis+sentinel:// needs the service's name: ...host:port/<service>")
        self._prepare = prepare
        addresses = split_addresses(self._parts, 26379)
        # One that hangs must leave time to ask the others.
        each = patience.seconds / (len(addresses) + 1)
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
        super().__init__(self._connect_to_primary, patience)

    async def start(self) -> None:
        await super().start()
        self._watcher = asyncio.create_task(keep_going(self._watch, "Watching the Sentinels"))

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
        return await connector(node, self._prepare_primary)()

    async def _prepare_primary(self, connection: AbstractConnection) -> None:
        await connection.send_command("ROLE")
        role = await connection.read_response()
        if role[0] != b"master":
            raise RedisConnectionError("Sentinel named a server that is not the primary")
        await self._prepare(connection)

    async def _watch(self) -> None:
        """Leaves a primary that was replaced: it can go on accepting writes for 10 s after a
        planned fail-over, and then forgets them."""
        await asyncio.sleep(WATCH_SECONDS)
        with suppress(OSError, RedisError):
            if await self._sentinel.discover_master(self._service) != self._primary:
                for pipeline in (self._fast, self._bulk):
                    pipeline.reconnect()

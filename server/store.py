"""Redis: connecting, running scripts, and the few plain commands. Callers see no redis-py."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from server.errors import Unavailable
from server.pipeline import Pipeline, Script
from server.status import Status

_HERE = Path(__file__).parent


def load_scripts() -> dict[str, Script]:
    """The scripts of `lua/` by name, each behind the prelude.

    In a wheel `lua/` lies inside the package, in a checkout beside it.
    """
    folder = _HERE / "lua" if (_HERE / "lua").is_dir() else _HERE.parent / "lua"
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.lua"))}
    prelude = texts.pop("prelude")
    scripts = {}
    for name, text in texts.items():
        whole = f"{prelude}\n{text}"
        scripts[name] = Script(
            name, whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
        )
    return scripts


class Store:
    """A Redis; `timeout` (seconds) bounds each call, which then raises Unavailable."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError if the URL cannot be used; connects nowhere."""
        self._scripts = load_scripts()
        self._timeout = timeout
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,  # the RESP3 default fails the first command after the server closed
            retry=Retry(NoBackoff(), 0),  # a retried EVALSHA is a second charge
            socket_timeout=None,  # the pipeline has one deadline for all it reads
            socket_connect_timeout=timeout,
        )
        self._fast = Pipeline(self._connect, timeout)
        # A large reply must not delay a charge, so what can have one travels apart.
        self._bulk = Pipeline(self._connect, timeout)

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()
        try:
            await connection.connect()
            for script in self._scripts.values():
                await connection.send_command("SCRIPT", "LOAD", script.text)
                await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def check(self) -> None:
        """Raises Unavailable if Redis does not answer, ValueError if it would evict balances."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connect()
                await connection.send_command("INFO", "memory")
                info = await connection.read_response()
                await connection.disconnect(nowait=True)
        except (OSError, RedisError) as error:
            raise Unavailable(str(error) or "Timeout connecting to server") from None
        for line in info.decode().splitlines():
            name, _, policy = line.partition(":")
            if name == "maxmemory_policy" and policy != "noeviction":
                raise ValueError(
                    f"maxmemory-policy is {policy}: balances could be evicted; set noeviction"
                )

    async def start(self) -> None:
        """Connects; while Redis is away, goes on trying, and each call raises Unavailable."""
        await asyncio.gather(self._fast.start(), self._bulk.start())

    async def close(self) -> None:
        await asyncio.gather(self._fast.close(), self._bulk.close())

    def get(self, key: str) -> Awaitable[bytes | None]:
        return self._fast.get(key)

    async def run(
        self, name: str, keys: Sequence[str], *args: str | int
    ) -> tuple[Status, list[Any]]:
        """Runs `lua/<name>.lua`; its status and the values after it, text as bytes."""
        reply = await self._fast.run(self._scripts[name], len(keys), *keys, *args)
        return Status(reply[0]), reply[1:]

    async def ping(self) -> None:
        await self._fast.send("PING")

    async def set(self, key: str, value: str, expires_at_ms: int | None = None) -> None:
        expiry: tuple[str | int, ...] = ("PXAT", expires_at_ms) if expires_at_ms else ()
        await self._fast.send("SET", key, value, *expiry)

    async def delete(self, *keys: str) -> None:
        await self._bulk.send("DEL", *keys)

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys that match, in portions; each key that exists all along at least once."""
        cursor = b"0"
        while True:
            cursor, found = await self._bulk.send("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            yield [key.decode(errors="replace") for key in found]
            if cursor == b"0":
                return

    async def read_all(self, keys: Sequence[str]) -> list[bytes | None]:
        """The strings under these keys, None for those that are absent."""
        return list(await asyncio.gather(*(self._bulk.send("GET", key) for key in keys)))

"""Redis: scripts run by their names, and the few plain commands. Callers see no redis-py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from server import metrics
from server.errors import Unavailable
from server.store.cluster import Cluster
from server.store.memory import read_memory
from server.store.patience import Patience
from server.store.pipeline import Pipeline
from server.store.rights import denied
from server.store.scripts import EXPIRED, load_scripts
from server.store.sentinel import SentinelServer
from server.store.status import Status
from server.store.topology import (
    OneServer,
    Prepare,
    Topology,
    connector,
    disconnect_all,
)

SCAN_COUNT = 1000
_STATUSES = tuple(Status)


def _topology(url: str, patience: Patience, prepare: Prepare) -> Topology:
    scheme = urlsplit(url).scheme
    if scheme.endswith("+cluster"):
        return Cluster(url, patience, prepare)
    if scheme.endswith("+sentinel"):
        return SentinelServer(url, patience, prepare)
    return OneServer(connector(url, prepare), patience)


class Store:
    """A Redis; `timeout` (seconds) bounds each call, which then raises Unavailable."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError if the URL cannot be used; connects nowhere."""
        self._scripts = load_scripts()
        self._patience = Patience(timeout)
        self._topology = _topology(url, self._patience, self._load_into)
        self.has_maxmemory = True
        """As far as `check` has found; of a Cluster, each primary."""

    async def _load_into(self, connection: AbstractConnection) -> None:
        await connection.send_packed_command(
            [
                piece
                for script in self._scripts.values()
                for piece in connection.pack_command("SCRIPT", "LOAD", script.text)
            ]
        )
        for _ in self._scripts:
            await connection.read_response()

    async def check(self) -> None:
        """Raises Unavailable if Redis does not answer, ValueError if it would evict balances, or
        denies what we need."""
        try:
            async with asyncio.timeout(self._patience.seconds):
                connections = await self._topology.connect_all()
                for connection in connections:
                    if lacks := await denied(connection, self._scripts["probe"]):
                        raise ValueError(f"Redis: the ACL user lacks {' '.join(lacks)}")
                    await connection.send_command("INFO", "memory")
                answers = [await connection.read_response() for connection in connections]
                await disconnect_all(connections)
        except (OSError, RedisError) as error:
            raise Unavailable(str(error) or "Timeout connecting to server") from None
        memories = [read_memory(answer) for answer in answers]
        for policy in {memory.policy for memory in memories} - {"noeviction"}:
            raise ValueError(
                f"maxmemory-policy is {policy}: balances could be evicted; set noeviction"
            )
        self.has_maxmemory = all(memory.most for memory in memories)

    async def start(self) -> None:
        """Connects; while Redis is away, goes on trying, and each call raises Unavailable."""
        self._patience.start()
        await self._topology.start()

    async def close(self) -> None:
        await self._topology.close()
        self._patience.stop()

    def get(self, key: str) -> Awaitable[bytes | None]:
        return self._topology.fast(key).get(key)

    def field(self, key: str, name: str) -> Awaitable[bytes | None]:
        """Of a hash."""
        return self._topology.fast(key).send("HGET", key, name)

    async def run(
        self, name: str, keys: Sequence[str], *args: str | int | bytes
    ) -> tuple[Status, list[Any]]:
        """Runs `lua/<name>.lua`; its status and the values after it, text as bytes."""
        return read(await self.submit(name, keys, *args))

    def submit(
        self, name: str, keys: Sequence[str], *args: str | int | bytes
    ) -> asyncio.Future[list[Any]]:
        """As `run`, but what it answers is for `read`. Raises Unavailable, too."""
        pipeline = self._topology.fast(keys[0])
        return pipeline.run(self._scripts[name], len(keys), *keys, *args)

    async def run_bulk(
        self, name: str, keys: Sequence[str], *args: str | int | bytes
    ) -> tuple[Status, list[Any]]:
        """As `run`, for a script with a large reply, which must not delay a charge."""
        pipeline = self._topology.bulk(keys[0])
        return read(await pipeline.run(self._scripts[name], len(keys), *keys, *args))

    def is_alive(self) -> bool:
        """Does what sends commands do its work, whether or not Redis is there?"""
        pipelines = [*self._topology.serving(), *self._topology.primaries()]
        return all(pipeline.is_alive for pipeline in pipelines)

    async def ping(self) -> None:
        """Raises Unavailable unless Redis answers; of a Cluster, one primary is enough."""
        pings = (self._ping(pipeline) for pipeline in self._topology.serving())
        outcomes = await asyncio.gather(*pings, return_exceptions=True)
        if not any(outcome is None for outcome in outcomes):
            raise Unavailable("no answer")

    @staticmethod
    async def _ping(pipeline: Pipeline) -> None:
        await pipeline.send("PING")

    async def persist(self, key: str) -> None:
        """It expires no more, if there is such a key."""
        await self._topology.bulk(key).send("PERSIST", key)

    def replace(
        self, key: str, value: str, expires_at_ms: int | None = None
    ) -> Awaitable[bytes | None]:
        """Stores the value, and the expiry (None: never), if there is such a key; None where there
        is none."""
        expiry: tuple[str | int, ...] = ("PXAT", expires_at_ms) if expires_at_ms else ()
        return self._topology.fast(key).send("SET", key, value, "XX", *expiry)

    async def prolong(self, key: str, expires_at_ms: int) -> None:
        """It expires no earlier than that, if there is such a key."""
        await self._topology.bulk(key).send("PEXPIREAT", key, expires_at_ms, "GT")

    async def end(self, key: str, expires_at_ms: int) -> None:
        """It expires then, if there is such a key, and it would not expire at all."""
        await self._topology.bulk(key).send("PEXPIREAT", key, expires_at_ms, "NX")

    async def keep(self, key: str, value: bytes, ttl_ms: int) -> None:
        """Stores it for so long."""
        await self._topology.fast(key).send("SET", key, value, "PX", ttl_ms)

    async def members(self, key: str, most: int = 0) -> list[str]:
        """The first ones of a sorted set; 0: all."""
        found = await self._topology.bulk(key).send("ZRANGE", key, 0, most - 1)
        return [name.decode(errors="replace") for name in found]

    async def claim(self, key: str, ttl_ms: int) -> bool:
        """True for one caller in so long."""
        return bool(await self._topology.fast(key).send("SET", key, "", "PX", ttl_ms, "NX"))

    async def delete(self, key: str) -> bool:
        """True if there was one."""
        return bool(await self._topology.bulk(key).send("DEL", key))

    async def delete_fields(self, key: str, *names: str) -> None:
        """Of a hash."""
        await self._topology.bulk(key).send("HDEL", key, *names)

    async def expires_at_ms(self, key: str) -> int | None:
        """When the key expires; None if it is permanent or absent."""
        at = int(await self._topology.bulk(key).send("PEXPIRETIME", key))
        return at if at >= 0 else None

    async def get_bulk(self, key: str) -> bytes | None:
        """As `get`, where there is no hurry."""
        value: bytes | None = await self._topology.bulk(key).send("GET", key)
        return value

    async def memory_percent(self) -> float:
        """How much of its `maxmemory` that primary uses that is the fullest of those that answer;
        0 where there is none.

        Raises Unavailable if none answers.
        """
        asked = (self._memory_percent_of(pipeline) for pipeline in self._topology.primaries())
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Unavailable):
                raise outcome
        percents = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        if not percents:
            raise Unavailable("no answer")
        return max(percents)

    @staticmethod
    async def _memory_percent_of(pipeline: Pipeline) -> float:
        return read_memory(await pipeline.send("INFO", "memory")).percent

    async def count_keys(self) -> int:
        sizes = [await pipeline.send("DBSIZE") for pipeline in self._topology.primaries()]
        return sum(sizes)

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys that match, of whatever type, in portions; at least once each that stays.

        Some may be of other programs, such as a hash `user:1`.
        """
        for pipeline in self._topology.primaries():
            options = ("MATCH", pattern, "COUNT", SCAN_COUNT)
            cursor = b"0"
            while True:
                cursor, found = await pipeline.send("SCAN", cursor, *options)
                yield [key.decode(errors="replace") for key in found]
                if cursor == b"0":
                    break


def read(reply: list[Any]) -> tuple[Status, list[Any]]:
    """A script's status and values."""
    status = reply[0]
    if status >= EXPIRED:
        expired, status = divmod(status, EXPIRED)
        metrics.holds_expired(expired)
    return _STATUSES[status], reply[1:]

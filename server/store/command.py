"""Commands on their way to Redis."""

import asyncio
import math
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

ASKING = b"*1\r\n$6\r\nASKING\r\n"


def pack(*args: str | int | bytes) -> bytes:
    """A command in RESP. Raises ValueError for text that is not UTF-8 (a lone surrogate)."""
    packed: bytes = pack_command(args)  # type: ignore[arg-type]  # its stub asks for one-tuples
    return packed


class Script:
    """A Lua script: sent by its SHA-1, and once more as text where Redis does not know it."""

    def __init__(self, name: str, text: str, sha1: str) -> None:
        self.name = name
        self.text = text
        self.sha1 = sha1


class Command:
    """A command on its way: packed, with those who wait for its reply."""

    __slots__ = ("args", "asking", "deadline", "packed", "script", "waiters")

    def __init__(
        self,
        packed: bytes,
        script: Script | None = None,
        args: tuple[str | int | bytes, ...] = (),
    ) -> None:
        self.packed = packed
        self.deadline = math.inf
        self.script = script
        self.args = args
        self.asking = False
        """To be sent right after ASKING, once."""
        self.waiters: list[asyncio.Future[Any]] = []

    def wanted(self) -> bool:
        """Someone still waits: a caller who has gone cancelled its future."""
        for waiter in self.waiters:  # noqa: SIM110  # for each command; a generator costs more
            if not waiter.done():
                return True
        return False

    def resolve(self, reply: Any) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(reply)

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


async def send_all(connection: AbstractConnection, commands: Iterable[Command]) -> None:
    """Writes them. Raises OSError and RedisError."""
    packed = [ASKING + one.packed if one.asking else one.packed for one in commands]
    try:
        await connection.send_packed_command(b"".join(packed), check_health=False)
    except RuntimeError as error:
        # uvloop's, where the connection closed a moment before.
        raise RedisConnectionError(str(error)) from None


async def was_closed(connection: AbstractConnection) -> bool:
    """While nothing is asked on it."""
    try:
        return await connection.can_read()
    except (OSError, RedisError, RuntimeError):
        return True

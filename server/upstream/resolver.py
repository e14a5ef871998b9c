"""The resolver that aiohttp's pool asks for the addresses to connect to."""

import socket
from collections import OrderedDict
from contextvars import ContextVar
from time import monotonic

from aiohttp.abc import AbstractResolver, ResolveResult

from server.upstream.names import Address, Names

REMEMBERED_NAMES = 1_000
REMEMBER_SECONDS = 10
# Tried one after the other; a name can have thousands.
MOST_ADDRESSES = 8

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

caller: ContextVar[str] = ContextVar("caller")
"""The tenant whose call needs a connection: the pool has no place for it between its caller and us.

Its own cache of names would make one tenant wait for another's turn, and is to be off.
"""


class Resolver(AbstractResolver):
    """The system's look-up, for some seconds at most; what it found is remembered for a while."""

    def __init__(self, names: Names, seconds: float) -> None:
        self._names = names
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, list[Address]]] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Of any family. Raises OSError, UnicodeError."""
        looked_up_at, found = self._known.get(host, (0.0, []))
        if not found or looked_up_at < monotonic() - REMEMBER_SECONDS:
            found = await self._look_up(host)
        return [_result(host, port, address) for address in found]

    async def close(self) -> None: ...

    async def _look_up(self, host: str) -> list[Address]:
        # ADDRCONFIG: only addresses of families that this machine has itself.
        found = await self._names.find(host, caller.get(), self._seconds, socket.AI_ADDRCONFIG)
        found = found[:MOST_ADDRESSES]
        self._known[host] = monotonic(), found
        self._known.move_to_end(host)
        if len(self._known) > REMEMBERED_NAMES:
            self._known.popitem(last=False)
        return found


def _result(host: str, port: int, address: Address) -> ResolveResult:
    """`address` may have more numbers, of IPv6; its scope belongs to the text."""
    text, scope = str(address[0]), address[3] if len(address) == 4 else 0
    return ResolveResult(
        hostname=host,
        host=f"{text}%{scope}" if scope else text,
        port=port,
        family=socket.AF_INET6 if len(address) == 4 else socket.AF_INET,
        proto=0,
        flags=_NUMERIC,
    )

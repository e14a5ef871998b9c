"""The resolver that aiohttp's pool asks for the addresses to connect to."""

import socket
from collections import Counter
from contextvars import ContextVar
from time import monotonic

from aiohttp.abc import AbstractResolver, ResolveResult

from server.recent import Recent
from server.upstream.names import Address, Names

REMEMBERED_NAMES = 1_000
REMEMBER_SECONDS = 10
# Of IPv4, and of IPv6: they are tried one after the other, and a name can have thousands.
MOST_ADDRESSES = 4

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
        self._known: Recent[tuple[float, list[Address]]] = Recent(REMEMBERED_NAMES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Of any family. Raises OSError, UnicodeError."""
        until, found = self._known.get(host) or (0.0, [])
        if until < monotonic():
            found = await self._look_up(host)
        return [_result(host, port, address) for address in found]

    async def close(self) -> None: ...

    async def _look_up(self, host: str) -> list[Address]:
        # ADDRCONFIG: only addresses of families that this machine has itself.
        found = await self._names.find(host, caller.get(), self._seconds, socket.AI_ADDRCONFIG)
        found = _first(found)
        self._known.put(host, (monotonic() + REMEMBER_SECONDS, found))
        return found


def _first(found: list[Address]) -> list[Address]:
    """MOST_ADDRESSES of each family, in their order."""
    count: Counter[int] = Counter()
    first = []
    for address in found:
        family = len(address)
        if count[family] < MOST_ADDRESSES:
            count[family] += 1
            first.append(address)
    return first


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

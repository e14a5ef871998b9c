"""Upstream: the HTTP client for calls to providers, with one pool of connections per worker.

It connects to public addresses only, whatever a name resolves to at that moment. Its exceptions say
what happened in a word or two: the texts of aiohttp's can contain URLs and headers, and so keys.

Of aiohttp it uses the pool (with TLS, and all addresses of a name) and the parser, but not its
session: a request of one kind, without redirects, cookies and traces, is written in a few lines,
and the session's way to the same bytes takes a third of the CPU of a whole call.
"""

import asyncio
import errno
import logging
import math
import re
import socket
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from server.timeouts import Timeouts
from server.upstream.addresses import is_public
from server.upstream.errors import Unreachable
from server.upstream.names import Names
from server.upstream.protocol import Protocol
from server.upstream.resolver import Resolver, caller
from server.upstream.response import Response
from server.upstream.tls import tls_context
from server.upstream.turns import Turns

log = logging.getLogger(__name__)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
"""The header of a request whose body is a form."""
CONNECT_TRIES = 20
REMEMBERED_URLS = 1_000
# Of each response, and twice that in passing: where its reader is slow the provider has to wait.
BUFFER_BYTES = 64 * 1024

RECEIVED_BYTES = 16 * 1024
"""That the system keeps of each connection, and as many again; so many are read at once. By itself
it would be hundreds of KiB, of each of 1,440 calls. A reply gets as many in each round trip."""

_JOINED_BYTES = 16 * 1024

_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*")


class _NotPublic(OSError):
    """The address to connect to is not public."""


class Dialled(NamedTuple):
    """A connection for whoever sets a protocol on its transport, and tells `lost` when that has
    lost it."""

    transport: asyncio.Transport
    lost: Callable[[BaseException | None], None]


class Upstream:
    """The client; `allow_private` lets it connect to any address."""

    def __init__(self, names: Names, allow_private: bool, timeouts: Timeouts) -> None:
        self._names = names
        self._allow_private = allow_private
        self.timeouts = timeouts
        self._responses: set[Response] = set()
        self._check: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(self._loop)
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=self.timeouts.upstream_keep_alive,
            resolver=Resolver(self._names, self.timeouts.connect),
            use_dns_cache=False,
            ssl=tls_context(),
            socket_factory=partial(_open_socket, allow_private=self._allow_private),
        )
        self._connector._factory = partial(Protocol, self._loop, self._turns)  # type: ignore[assignment]
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect)
        self._target = lru_cache(REMEMBERED_URLS)(_Target)
        self._check = self._loop.call_later(self.timeouts.upstream_check, self._expire_overdue)

    async def close(self) -> None:
        if self._check is not None:
            self._check.cancel()
            await self._connector.close()

    def get(
        self, url: str, headers: Mapping[str, str], seconds: float, tenant_id: str = ""
    ) -> Coroutine[Any, Any, Response]:
        """As `post`; without a tenant the host is one that the operator has chosen."""
        return self._send("GET", url, headers, b"", lambda: None, seconds, tenant_id)

    def delete(
        self, url: str, headers: Mapping[str, str], seconds: float, tenant_id: str = ""
    ) -> Coroutine[Any, Any, Response]:
        """As `get`."""
        return self._send("DELETE", url, headers, b"", lambda: None, seconds, tenant_id)

    def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        on_send: Callable[[], None] = lambda: None,
        seconds: float = math.inf,
        tenant_id: str = "",
    ) -> Coroutine[Any, Any, Response]:
        """Sends and waits `seconds` for the head of the reply, whatever its status; follows no
        redirect. `on_send` is called when from now on the upstream may have some of the request;
        of the look-ups of `tenant_id` it is one, if the host must be looked up.

        The caller reads or closes the response. Raises Unreachable, Failed, TimedOut. Where the
        upstream closes a connection of the pool just when it is used again, that is Failed, not
        Unreachable: nobody can know whether it has seen the request.
        """
        return self._send("POST", url, headers, body, on_send, seconds, tenant_id)

    async def dial(self, url: str, tenant_id: str) -> Dialled:
        """A connection for something else than a request and its reply; `tenant_id` as in `post`.
        Raises Unreachable."""
        try:
            target = self._target("GET", url)
            caller.set(tenant_id)
            connection = await self._connect(target)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(_reason(error)) from None
        protocol, transport = connection.protocol, connection.transport
        assert isinstance(protocol, Protocol)
        assert transport is not None
        protocol.ask()  # it is in use

        def lost(error: BaseException | None) -> None:
            protocol.leave()
            protocol.connection_lost(error)
            connection.close()

        return Dialled(transport, lost)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        on_send: Callable[[], None],
        seconds: float,
        tenant_id: str,
    ) -> Response:
        try:
            target = self._target(method, url)
            head = target.head(headers, len(body))
            caller.set(tenant_id)
            connection = await self._connect(target)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            del body  # aiohttp's errors are in circles, and keep the frames that they came through
            raise Unreachable(_reason(error)) from None
        protocol, transport = connection.protocol, connection.transport
        assert isinstance(protocol, Protocol)
        assert transport is not None
        protocol.set_response_params(read_until_eof=True, read_bufsize=BUFFER_BYTES)
        protocol.owner = tenant_id
        response = Response(connection, protocol, self._responses, self._turns, self.timeouts)
        on_send()
        if len(body) <= _JOINED_BYTES:
            transport.write(head + body)  # one buffer costs uvloop less than two
        else:
            transport.writelines((head, body))
        del body  # which may be large, and the reply long in coming
        await response.begin(seconds)
        return response

    async def _connect(self, target: "_Target") -> Connection:
        """A connection on which nothing has come unasked: the next call would take it for its
        reply, a 408 to an idle client for example. Raises as aiohttp does, and Unreachable."""
        for _ in range(CONNECT_TRIES):
            connection = await self._connector.connect(target.request, [], self._timeout)
            # What comes unasked ends its connection (protocol.py).
            if connection.protocol is not None and connection.protocol.is_connected():
                return connection
            connection.close()
        raise Unreachable("speaks unasked")

    def _expire_overdue(self) -> None:
        self._check = self._loop.call_later(self.timeouts.upstream_check, self._expire_overdue)
        now = self._loop.time()
        for response in [each for each in self._responses if each.give_up_at < now]:
            try:
                response.expire()
            except Exception:
                # The next check would find it again, and never get to the others.
                log.exception("A response that is overdue could not be ended")
                self._responses.discard(response)


class _Request(aiohttp.ClientRequest):
    # aiohttp puts it together each time that the pool is asked.
    connection_key = cached_property(aiohttp.ClientRequest.connection_key.fget)  # type: ignore[attr-defined]


class _Target:
    """What is the same in all requests to a URL; its `request` tells the pool where to connect."""

    def __init__(self, method: str, url: str) -> None:
        """Raises ValueError."""
        parsed = URL(url)
        if parsed.scheme not in ("http", "https"):
            raise ValueError("not HTTP")
        self.request = _Request(method, parsed)
        self._head = (
            f"{method} {parsed.raw_path_qs} HTTP/1.1\r\nHost: {self.request.headers['Host']}\r\n"
            "Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: vibe-server\r\n"
        )
        # Those of the last request: nearly all to an endpoint have the same.
        self._headers: Mapping[str, str] = {}
        self._head_with_headers = b""

    def head(self, headers: Mapping[str, str], length: int) -> bytes:
        """Raises ValueError for a header that cannot be sent."""
        if headers != self._headers or not self._head_with_headers:
            lines = [f"{name}: {value}" for name, value in headers.items()]
            if not all(map(_HEADER.fullmatch, lines)):
                raise ValueError("header")
            head = self._head + "\r\n".join([*lines, "Content-Length: "])
            self._headers, self._head_with_headers = dict(headers), head.encode("latin-1")
        return b"%b%d\r\n\r\n" % (self._head_with_headers, length)


def _open_socket(
    info: tuple[int, int, int, str, tuple[Any, ...]], allow_private: bool
) -> socket.socket:
    """The socket to connect to an address, unless it is not public. Called for each attempt."""
    family, kind, protocol, _, address = info
    if not allow_private and not is_public(address[0]):
        raise _NotPublic(errno.EACCES, "address is not public")
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
    return found


def _reason(error: BaseException) -> str:
    # Of errors of TLS the errno says nothing.
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        cause = error.os_error
        if isinstance(cause, _NotPublic):
            return "address is not public"
        return errno.errorcode.get(cause.errno or 0, type(error).__name__)
    return type(error).__name__

"""Upstream: the HTTP client for calls to providers, with one pool of connections per worker.

It connects to public addresses only, whatever a name resolves to at that moment. Its exceptions say
what happened in a word or two: the texts of aiohttp's can contain URLs and headers, and so keys.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult

from server.addresses import is_public

CONNECT_SECONDS = 5.0
FIRST_BYTE_SECONDS = 600.0
IDLE_SECONDS = 300.0
KEEP_ALIVE_SECONDS = 30.0
# Of each response, and twice that in passing: where its reader is slow the provider has to wait.
BUFFER_BYTES = 64 * 1024

Response = aiohttp.ClientResponse

_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.NonHttpUrlClientError,
    ValueError,  # a URL or a header that cannot be sent
)
_HEADERS = {"User-Agent": "vibe-server", "Accept-Encoding": "identity"}


class UpstreamError(Exception):
    """A call that failed; its text is a short reason, fit for logs.

    UpstreamError
      Unreachable
      Failed
      TimedOut
    """


class Unreachable(UpstreamError):
    """Nothing was sent: no address, no connection, no TLS, or an address that is refused."""


class Failed(UpstreamError):
    """Something was sent, and no reply came, or not all of it, or more than is taken."""


class TimedOut(UpstreamError):
    """Something was sent, and the reply or its next part did not come in time."""


class _NotPublic(OSError):
    """The address to connect to is not public."""


class Upstream:
    """The client; `allow_private` lets it connect to any address."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=_Resolver(),
            socket_factory=None if self._allow_private else _open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            read_bufsize=BUFFER_BYTES,
            trust_env=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        upload: aiohttp.UploadTracker | None = None,
    ) -> Response:
        """Sends and waits for the head of the reply, whatever its status; follows no redirect.
        `upload` is told how far the sending has come.

        The caller closes the response. Raises Unreachable, Failed, TimedOut. Also Failed is a
        connection of the pool that the upstream was just closing: nobody can know whether it has
        seen the request.
        """
        assert self._session is not None, "not started"
        try:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                response = await self._session.post(
                    url, data=body, headers=headers, allow_redirects=False, upload_tracker=upload
                )
        except _BEFORE_SENDING as error:
            raise Unreachable(_reason(error)) from None
        except TimeoutError:
            raise TimedOut("no reply") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed(_reason(error)) from None
        if response.status == 101:  # which aiohttp does not close by itself
            response.close()
            raise Failed("switches protocols")
        _limit_idling(response)
        return response

    async def chunks(self, response: Response) -> AsyncIterator[bytes]:
        """The body as it comes; all that came before it failed, then Failed or TimedOut.

        May be called again for the rest, when the reader of the first part was cancelled.
        """
        content = response.content
        with _noticing_its_loss(response):
            while True:
                try:
                    chunk = await content.readany()
                except (aiohttp.ClientError, OSError, RuntimeError) as error:
                    # aiohttp withholds what it has read before, and somebody has paid for it.
                    if left := content._read_nowait(-1):
                        yield left
                    timed_out = isinstance(error, TimeoutError)
                    raise (TimedOut if timed_out else Failed)(_reason(error)) from None
                if not chunk:
                    return
                yield chunk

    async def read(self, response: Response, most: int) -> bytes:
        """The whole body, decompressed, of at most `most` bytes. Raises Failed, TimedOut.

        Closes the response if it is not read to its end.
        """
        content = response.content
        if content.is_eof() and content.exception() is None and content.total_bytes <= most:
            return content.read_nowait()  # it came with the head
        parts, size = [], 0
        try:
            async for chunk in self.chunks(response):
                size += len(chunk)
                if size > most:
                    raise Failed("too large")
                parts.append(chunk)
        except BaseException:
            response.close()
            raise
        return b"".join(parts)


class _Resolver(aiohttp.ThreadedResolver):
    """The system's; aiohttp's timeouts begin when there is an address."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await super().resolve(host, port, family)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "no address in time") from None


def _open_socket(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """The socket to connect to an address, unless it is not public. Called for each attempt."""
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise _NotPublic(errno.EACCES, "address is not public")
    return socket.socket(family, kind, protocol)


def _limit_idling(response: Response) -> None:
    """From now on, IDLE_SECONDS between two parts of what is left of the reply."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = IDLE_SECONDS
        connection.protocol.start_timeout()


@contextmanager
def _noticing_its_loss(response: Response) -> Iterator[None]:
    """Ends the body when the connection is lost.

    aiohttp (3.14) does it itself but for a chunk of a malformed size: whoever reads that body would
    wait for ever.
    """
    protocol = response.connection and response.connection.protocol
    if protocol is None:
        yield  # the body is here
        return
    lost = protocol.closed
    if lost is None:
        _cut(response.content)
        yield
        return
    cut = partial(_cut, response.content)
    lost.add_done_callback(cut)
    # For good, and once: asyncio complains of failures of futures that nobody has looked at.
    lost.remove_done_callback(_look_at)
    lost.add_done_callback(_look_at)
    try:
        yield
    finally:
        lost.remove_done_callback(cut)


def _cut(content: aiohttp.StreamReader, _: object = None) -> None:
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientPayloadError("connection lost"))


def _look_at(lost: asyncio.Future[None]) -> None:
    lost.exception()


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, _NotPublic):
            return "address is not public"
        return errno.errorcode.get(cause.errno or 0, type(error).__name__)
    return type(error).__name__

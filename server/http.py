"""Sanic's HTTP, made strict: what two parsers could read differently is refused, and each request
has its ID.

A proxy in front that reads a request differently than we do can be made to pass on a second,
hidden request. Sanic 25.12 is lenient where RFC 9112 is not: space before a header's colon, bare
LF, folded headers, several Hosts, sloppy chunks.
"""

import asyncio
import re
from collections.abc import Coroutine
from random import getrandbits
from time import monotonic
from typing import Any, NoReturn, cast

from sanic import Request
from sanic.exceptions import BadRequest, RequestTimeout
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.server.protocols.http_protocol import HttpProtocol

_HOST = rb"(?:[\w.~%!$&'()*+;=-]+|\[[\da-fA-F:.]+\])(?::\d*)?"
# A path of RFC 3986's characters, from a proxy maybe behind scheme and host; of OPTIONS also `*`,
# and what browsers send that no URL has: a page is not told why its preflight was refused.
_ORIGIN = rb"(?:(?i:https?)://" + _HOST + rb")?"
_TARGET = _ORIGIN + rb"/[\w.~!$&'()*+,;=:@/%-]*+(?:\?[!\x22$-~]*+)?"
_HEAD = re.compile(
    rb"(?:[A-Z]{1,20} %b|OPTIONS (?:\*|%b/[!\x22$-~]*+)) HTTP/1\.[01]" % (_TARGET, _ORIGIN)
    + rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+)*+"
)
# Of the raw head: Sanic strips all that Unicode calls a space, and int() reads any digits.
_ODD_HEADER = re.compile(
    rb"""\r\n(?i:
        content-length: (?! [ \t]* [0-9]{1,18} [ \t]* (?:\r\n|\Z) )
        | transfer-encoding: (?! [ \t]* (?-i:chunked) (?:\r\n|\Z) )
        | host: (?! [ \t]* %b [ \t]* (?:\r\n|\Z) )
    )"""
    % _HOST,
    re.VERBOSE,
)
_CHUNK_HEADER = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})(?:;[\t\x20-\x7e]*)?\r\n")
_CHUNK_BYTES = 256
# A chunk of one byte costs as much as one of a thousand: beyond so many, there must be at least so
# many bytes for each.
_FREE_CHUNKS = 1_000
_LEAST_CHUNK_BYTES = 64
_CHUNKS_AT_ONCE = 64
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class StrictRequest(Request):
    """Refuses a head that is ambiguous; `id` is the caller's X-Request-ID if that is sane."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Sanic makes a request without a head to report a fault of the head itself.
        if self.head and not self._is_unambiguous():
            raise BadRequest("Bad Request")
        # HTTP/1.0 knows no 100 Continue, and its clients would take that for the reply.
        if self.version == "1.0":
            self.headers.popall("expect", None)
        self._id = _request_id(self.headers.getone("x-request-id", None))

    async def receive_body(self) -> None:
        """Of a route that reads none, which Sanic calls before the handler: it is not kept."""
        async for _ in cast("StrictHttp", self.stream):
            pass

    def _is_unambiguous(self) -> bool:
        # HTTP/1.0 knows no Host, and balancers ask for readiness by it.
        head, headers = self.head, self.headers
        return (
            _HEAD.fullmatch(head) is not None
            and _ODD_HEADER.search(head) is None
            and len(headers.getall("host", ())) in ((0, 1) if self.version == "1.0" else (1,))
            and (self.version != "1.0" or "transfer-encoding" not in headers)
            # Whose request is it, if there are two?
            and len(headers.getall("authorization", ())) < 2
            and len(headers.getall("x-api-key", ())) < 2
        )


class StrictHttp(Http):
    """Refuses chunks that are not exactly as RFC 9112 has them; lets the last reply be read."""

    # Sanic's metaclass makes an empty tuple of it otherwise.
    __slots__ = ("_chunks", "_is_waiting", "head_bytes", "waiting_since")

    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)
        self.waiting_since = 0.0

    def init_for_request(self) -> None:
        super().init_for_request()
        self.waiting_since = 0.0
        self.head_bytes = 0
        self._chunks = 0
        self._is_waiting = bool(self.recv_buffer)

    def http1_request_header(self) -> Coroutine[Any, Any, None]:
        if self._is_waiting:
            return self._request_header_in_turn()
        return super().http1_request_header()

    async def _request_header_in_turn(self) -> None:
        """Of one that came with the one before, perhaps with thousands: others are first."""
        await asyncio.sleep(0)
        await super().http1_request_header()

    @property
    def announced_bytes(self) -> int:
        """How large the body will be; 0 if it does not say, as one in chunks."""
        return 0 if self.request_body == "chunked" else self.request_bytes or 0  # type: ignore[comparison-overlap]

    @property
    def read_bytes(self) -> int:
        """How much of the body has been read."""
        return (self.request_bytes or 0) - (self.request_bytes_left or 0)

    def take_body(self) -> bytearray | None:
        """All of the body if it is here and nothing of it was read, which is then; else None.

        As `read` does it, but Sanic's makes six coroutines for the piece and the end after it.
        """
        size, buffer = self.announced_bytes, self.recv_buffer
        is_new = size > 0 and self.request_bytes_left == size and not self.expecting_continue
        if not is_new or len(buffer) < size:
            return None
        body: bytearray = buffer[:size]
        del buffer[:size]
        self.request_bytes_left, self.request_body = 0, None
        return body

    async def http1(self) -> None:
        await super().http1()
        await self._linger()

    def send_now(self, data: bytes) -> bool:
        """Sends a piece of a stream whose head is sent, if the client has read what came before and
        has not gone; whether it did.

        Sanic's `send` makes four coroutines for each piece, half of what a piece costs besides the
        system's share.
        """
        protocol = self.protocol
        transport = protocol.transport
        if transport is None or transport.is_closing() or not protocol._can_write.is_set():
            return False
        if self.response_func != self.send_unchunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        transport.write(data)
        protocol._time = monotonic()
        return True

    async def send_unchunked(self, data: bytes, end_stream: bool) -> None:
        """Sanic's `response_func` of a stream to a client of HTTP/1.0, which knows no chunks: the
        end of the connection is the end of the body."""
        # At the end too, which waits until what came before has been read, as a last chunk does.
        if data or end_stream:
            await self._send(data)
        if end_stream:
            self.response_func = None  # type: ignore[assignment]  # as Sanic's own do
            self.stage = Stage.IDLE

    async def error_response(self, exception: Exception) -> None:
        # A head that waits to be sent is the reply, which Sanic would begin once more.
        is_over = isinstance(exception, asyncio.CancelledError | RequestTimeout)
        if is_over and self.response_func != self.http1_response_header:
            self.stage = Stage.RESPONSE
        await super().error_response(exception)

    async def _linger(self) -> None:
        """Discards what the client still sends, until it closes or protocol.py ends this.

        Closing with bytes unread resets the connection: the client could lose the reply.
        """
        transport = self.protocol.transport
        if transport is None or transport.is_closing():
            return
        self.keep_alive, self.stage, self.waiting_since = False, Stage.IDLE, 0.0
        transport.write_eof()
        while True:
            self.recv_buffer.clear()
            await self._receive_more()

    def create_empty_request(self) -> None:
        # Sanic would parse the URL again that it has just refused.
        self.url = None
        super().create_empty_request()

    def read(self) -> Coroutine[Any, Any, bytes | None]:
        if (self.request_bytes or 0) > self.request_max_size:
            self.expecting_continue = False
        elif self.request_body == "chunked" and not self.request_bytes_left:  # type: ignore[comparison-overlap]
            return self._read_chunk()
        return super().read()

    async def _read_chunk(self) -> bytes | None:
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        await self._count_chunk()
        await self._check_chunk_header()
        body: bytes | None = await super().read()
        return body

    async def _count_chunk(self) -> None:
        self._chunks += 1
        if self._chunks % _CHUNKS_AT_ONCE == 0:
            await asyncio.sleep(0)  # all that has come is read without a pause otherwise
        most = _FREE_CHUNKS + (self.request_bytes or 0) // _LEAST_CHUNK_BYTES
        if self._chunks > most:
            self._refuse_chunks()

    def _refuse_chunks(self) -> NoReturn:
        # What follows cannot be told apart from a next request, so nothing more is read.
        self.keep_alive = False
        self.request_body = None
        raise BadRequest("Bad Request")

    async def _check_chunk_header(self) -> None:
        """The buffer must begin with the CRLF before a chunk's size, the size, and a CRLF."""
        buffer = self.recv_buffer
        while (end := buffer.find(b"\r\n", 2, _CHUNK_BYTES)) < 0 and len(buffer) < _CHUNK_BYTES:
            await self._receive_more()
        header = _CHUNK_HEADER.fullmatch(buffer, 0, max(end, 0) + 2)
        if header is None:
            self._refuse_chunks()
        # Sanic takes a body for complete that still lacks the last CRLF.
        while not int(header[1], 16) and len(buffer) < header.end() + 2:
            await self._receive_more()


def _request_id(given: str | None) -> str:
    """The caller's X-Request-ID where it is sane, else one of our own."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    # It must be new, not secret; and Python seeds it anew in each forked worker.
    return f"{getrandbits(96):024x}"

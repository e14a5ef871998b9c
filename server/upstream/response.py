"""Response: an upstream's reply on a connection of the pool, its body read part by part."""

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy

from server.timeouts import Timeouts
from server.upstream.errors import Failed, TimedOut, TooLong, UpstreamError
from server.upstream.flow import Flow
from server.upstream.protocol import MOST_HEADS, Protocol
from server.upstream.turns import LIGHT_BYTES, Turns

MOST_HEAD_BYTES = 16 * 1024
MOST_ERROR_BYTES = 64 * 1024
"""Of a body that is read for the reason of a failure."""

_NO_REPLY = (
    aiohttp.ClientError,
    aiohttp.EofStream,
    aiohttp.http.HttpProcessingError,
    OSError,
    # aiohttp's, of a connection that was closed meanwhile.
    RuntimeError,
)


class Response:
    """The response to one request. It gives its connection back by itself when its body has come to
    its end, read or not; whoever wants no more of it before that closes it.

    `give_up_at`, on the loop's clock, is how long its reader waits; who made the response sees to
    it that `expire` is called then. A timer for each part would cost more than the part.
    """

    __slots__ = (
        "_connection",
        "_content",
        "_flow",
        "_is_left",
        "_loop",
        "_lost",
        "_others",
        "_owner",
        "_protocol",
        "_timeouts",
        "_turns",
        "give_up_at",
        "headers",
        "status",
    )
    status: int
    headers: CIMultiDictProxy[str]

    def __init__(
        self,
        connection: Connection,
        protocol: Protocol,
        others: "set[Response]",
        turns: Turns,
        timeouts: Timeouts,
    ) -> None:
        """`others`: those under way, to which it belongs until its connection is given back, and
        which take `turns` together."""
        self._connection: Connection | None = connection
        self._protocol = protocol
        self._owner = protocol.owner  # which is another's once the connection is given back
        protocol.ask()
        self._others = others
        self._timeouts = timeouts
        self._loop = turns.loop
        self._content: aiohttp.StreamReader = aiohttp.streams.EMPTY_PAYLOAD
        self._lost: asyncio.Future[None] | None = None
        self._flow: Flow | None = None
        self._is_left = False
        self._turns = turns
        self.give_up_at = math.inf
        others.add(self)

    async def begin(self, seconds: float) -> None:
        """Waits for the head, so long. Raises Failed, TimedOut; closes the response then."""
        self.give_up_at = self._loop.time() + seconds
        try:
            for _ in range(MOST_HEADS):
                message, self._content = await self._protocol.read()
                if message.code == 101:
                    raise Failed("switches protocols")
                if message.code >= 200:
                    break
            else:
                raise Failed("no final head")
            # aiohttp bounds each header, and keeps them for as long as a stream lasts.
            if sum(map(len, chain.from_iterable(message.raw_headers))) > MOST_HEAD_BYTES:
                del message  # else the failure would keep it
                raise Failed("large head")
        except _NO_REPLY as error:
            self.close()
            raise _failure(error) from None
        except BaseException:
            self.close()
            raise
        self.give_up_at = math.inf
        self.status, self.headers = message.code, message.headers
        self._content.on_eof(self._give_back)
        if self._connection is not None:
            self._notice_loss()

    @property
    def media_type(self) -> str:
        """Of several that a proxy has made one header of, the first."""
        return re.split("[;,]", self.headers.get("content-type", ""))[0].strip().lower()

    @property
    def is_early(self) -> bool:
        """The upstream has not taken all of the request, of which much can be left."""
        return self._has_unsent_bytes()

    @property
    def unread_bytes(self) -> int:
        """How much memory that takes which has come and is not read."""
        unparsed = 0 if self._connection is None else self._protocol.unparsed_bytes
        return self._content._size + unparsed

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the body of `with` runs, no more comes."""
        if self._connection is not None:
            self._protocol.hold()
        try:
            yield
        finally:
            if self._connection is not None:  # else it may be another's by now
                self._protocol.release()

    async def turn(self) -> None:
        """Waits until something may be done with it that could take long: not of LIGHT_BYTES."""
        if self._turns.is_over:
            await self._turns.wait(self._owner)

    async def part(self, until: float = math.inf) -> bytes:
        """The next part of the body as soon as it is here, decompressed; b"" after the last one.
        It is waited for `until`, on the loop's clock.

        Of a body that fails, all that came before that is returned first; then each call raises
        Failed or TimedOut. May be called again after it was cancelled.
        """
        content = self._content
        self.give_up_at = min(until, self._loop.time() + self._timeouts.idle)
        if content._size > LIGHT_BYTES:
            await self.turn()
        try:
            return await content.readany()
        except _NO_REPLY as error:
            # aiohttp withholds what it has read before, and somebody has paid for it.
            if left := content._read_nowait(-1):
                return left
            raise _failure(error) from None
        finally:
            self.give_up_at = math.inf

    async def flow(self, take: Callable[[bytes], bool]) -> bool:
        """Gives `take` each part in the moment in which it comes. Ends with False when `take` wants
        no more so, and with True when what comes is for `part`: a large one, a failure or the end.
        """
        content = self._content
        if content._size or content.is_eof() or content.exception() is not None:
            return True
        self._flow = flow = Flow(self._loop, content, take, self._wait_on)
        self._protocol.on_data = flow.pour
        self._wait_on()
        try:
            return await flow.over
        finally:
            self._end_flow()
            self.give_up_at = math.inf

    def _wait_on(self) -> None:
        self.give_up_at = self._loop.time() + self._timeouts.idle

    def _end_flow(self) -> None:
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.end()
            if self._connection is not None:  # else it may be another's by now
                self._protocol.on_data = None

    async def read(
        self, most: int, is_room_for: Callable[[int], bool] = lambda size: True
    ) -> bytes:
        """The whole body, decompressed, of at most `most` bytes. Raises TooLong, also if it grows
        to a size that `is_room_for` denies, Failed, TimedOut.

        Closes the response if it is not read to its end.
        """
        content, size = self._content, self._content.total_bytes
        if content.is_eof() and content.exception() is None and size <= most and is_room_for(size):
            return content.read_nowait()  # it came with the head
        # Not a list of parts: each may be a byte, and then takes forty.
        body, until = bytearray(), self._loop.time() + self._timeouts.whole
        try:
            while part := await self.part():
                body += part
                if len(body) > most:
                    raise TooLong("too large")
                if not is_room_for(len(body)):
                    raise TooLong("no room")
                if self._loop.time() > until:
                    raise TimedOut("too slow")
        except UpstreamError as error:
            self.close()
            error.body = body
            raise
        except BaseException:
            self.close()
            raise
        return bytes(body)

    def leave(self) -> None:
        """For a reader that has all it wants, when only the end of the last chunk should be
        missing: that is waited for a moment, as without it nobody else can use the connection."""
        self._is_left = True
        self.give_up_at = self._loop.time() + self._timeouts.leave

    def close(self) -> None:
        """Closes the connection, unless it was given back."""
        unsent = self._has_unsent_bytes()
        connection = self._let_go()
        if connection is None:
            return
        if unsent and connection.transport is not None:
            connection.transport.abort()  # it would wait for the peer to take the rest
        connection.close()

    def expire(self) -> None:
        """It is later than `give_up_at`."""
        if self._is_left:
            self.close()
            return
        error = aiohttp.SocketTimeoutError()
        self._protocol.set_exception(error)
        self._content.set_exception(error)
        self._end_flow()

    def _give_back(self) -> None:
        if self._has_unsent_bytes():
            self.close()  # it answered before it had the whole request
        elif (connection := self._let_go()) is not None:
            connection.release()

    def _has_unsent_bytes(self) -> bool:
        transport = self._connection and self._connection.transport
        return transport is not None and transport.get_write_buffer_size() > 0

    def _let_go(self) -> Connection | None:
        """The connection, which is no more this response's; None if it has none."""
        self._others.discard(self)
        self._end_flow()
        connection, self._connection = self._connection, None
        if connection is not None:  # else it may be another's by now
            self._protocol.leave()
        if self._lost is not None:
            self._lost.remove_done_callback(self._cut)
        return connection

    def _notice_loss(self) -> None:
        """Ends the body when the connection is lost.

        aiohttp (3.14) does it itself but for a chunk of a malformed size: whoever reads that body
        would wait for ever.
        """
        self._lost = lost = self._protocol.closed
        if lost is None:
            self._cut()
            return
        lost.add_done_callback(self._cut)
        # For good, and once: asyncio complains of failures of futures that nobody has looked at.
        lost.remove_done_callback(_look_at)
        lost.add_done_callback(_look_at)

    def _cut(self, _: object = None) -> None:
        content = self._content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("connection lost"))
        self._end_flow()


def _failure(error: BaseException) -> UpstreamError:
    kind = TimedOut if isinstance(error, TimeoutError) else Failed
    return kind(type(error).__name__)


def _look_at(lost: "asyncio.Future[Any]") -> None:
    lost.exception()

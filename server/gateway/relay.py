"""Relay: a provider's stream on its way to the client, each event as it comes."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import monotonic

import orjson

from server.errors import Refusal
from server.gateway.exchange import Exchange
from server.gateway.room import SMALL_REPLY_BYTES, Portion
from server.providers import sse
from server.providers.bounds import (
    MOST_KEPT_BYTES,
    MOST_PARSED_BYTES,
    STREAMED_TOKEN_BYTES,
    TooLarge,
)
from server.providers.errors import ProviderError, ProviderTimeout, ReplyTooLarge
from server.providers.spent import comment
from server.providers.wire import Wire
from server.timeouts import Timeouts
from server.turns import TURN_SECONDS
from server.upstream.errors import Failed, TimedOut, UpstreamError
from server.upstream.response import MOST_ERROR_BYTES, Response
from server.upstream.turns import LIGHT_BYTES

log = logging.getLogger(__name__)

EVENTS_AT_ONCE = 100
"""Of those that come together, passed on before others have their turn, if they do not take
TURN_SECONDS."""


class Relay:
    """Of one response; what goes by is counted in the exchange's tally. Nothing is read before it
    is asked for, so that a client that reads slowly slows the provider down."""

    def __init__(
        self,
        response: Response,
        exchange: Exchange,
        client: Wire,
        portion: Portion,
        timeouts: Timeouts,
    ) -> None:
        ask, sent = exchange.attempt.ask, exchange.sent
        self._response = response
        self._exchange = exchange
        self._events = sse.Events()
        self._waiting: Iterable[bytes] | None = None
        """Events that have come and are not passed on yet."""
        self._tally = exchange.tally
        self._output = exchange.tally.output
        self._progress = exchange.progress
        self._client = client
        self._portion = portion
        self._timeouts = timeouts
        self._stream = sent.translation.stream(ask.include_usage, sent.source)
        self._most = exchange.most_output
        self._came = 0
        """Bytes."""
        self._most_bytes = MOST_PARSED_BYTES + self._most * STREAMED_TOKEN_BYTES
        self._look_at = 0
        """What waits is counted again when so many have come."""
        self._last_sizes = 0, 0
        """Bytes of the last two pieces that were counted: a slow client has not read either."""
        self._unsent = b""
        self._send: Callable[[bytes], bool] | None = None
        self._silence = b""
        """What an event becomes that has nothing for the client."""
        self._finished_size = 0
        self._until = math.inf
        """On the loop's clock, when a stream that has finished has been waited for long enough."""

    async def begin(self) -> None:
        """Waits for the first piece. Raises ProviderError if it does not come."""
        if self._response.media_type != "text/event-stream":
            raise await self._no_stream()
        loop = asyncio.get_running_loop()
        until, is_unsure = loop.time() + self._timeouts.last_usage, False
        while self._progress.goes_on and (not self._unsent or is_unsure):
            self._unsent += await (self._next_until(until) if self._unsent else self._next())
            # What may be no answer is kept, but not much of it, nor long: it may be a sign of life.
            is_small = len(self._unsent) < SMALL_REPLY_BYTES and loop.time() < until
            is_unsure = self._tally.is_unsure and is_small
        refusal = self._progress.refusal
        if refusal is not None and (not self._unsent or is_unsure):
            raise refusal
        if self._response.is_early:
            # As long as the stream lasts its request would take memory that nobody counts.
            raise ProviderError("before it had the request")
        # Not sooner: with the first byte for the client no other endpoint can be asked any more.
        self._silence = sse.COMMENT

    async def _no_stream(self) -> ProviderError:
        """Why, if it says so at once."""
        with contextlib.suppress(UpstreamError, TooLarge, TimeoutError):
            async with asyncio.timeout(self._timeouts.leave):
                reply = await self._response.read(MOST_ERROR_BYTES)
            if reply.lstrip().startswith((b"{", b"[")):
                self._tally.see(bytes(reply))
        return self._progress.refusal or ProviderError("no stream")

    def first(self) -> bytes:
        """The first piece of the client's stream."""
        piece, self._unsent = self._unsent, b""
        return piece

    async def pass_on(self, send: Callable[[bytes], bool]) -> bytes:
        """Has each further piece sent as soon as it is here, and returns one that `send` did not
        take; b"" when only the end is left. Nothing is raised: a failure is told there."""
        self._send = send
        while not self._unsent and self._progress.goes_on:
            piece = await self._next()
            if piece and not send(piece):
                self._unsent = piece
        return self.first()

    def held(self, piece: bytes) -> contextlib.AbstractContextManager[None]:
        """For a client that is slow to take `piece`: the provider is not read either. What has come
        is counted."""
        self._count_waiting(piece)
        return self._response.held()

    def end(self, spent: Mapping[str, int]) -> bytes:
        """The end of the client's stream, for better or worse, with what the call has cost. It
        takes room until whoever asks for it leaves that."""
        failure: Refusal | None = self._progress.failure
        if failure is None:
            try:
                end = self._stream.end(spent)
                if self._portion.resize(2 * max(*self._last_sizes, len(end))):
                    return end
                failure = ReplyTooLarge("no room")
            except TooLarge:  # of what waited for the end
                failure = ReplyTooLarge("too large")
            except Exception:
                # Raised on, it would end the client's stream as if it had been cut.
                log.exception("The end of a stream could not be passed on")
                failure = ProviderError()
        return comment(spent) + self._client.error_frame(failure, self._stream.begun)

    async def read_on(self, seconds: float) -> None:
        """Counts what still comes until the usage has, for a client that has gone."""
        self._send = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._tally.is_complete and self._progress.goes_on:
                    await self._next()

    def close(self) -> None:
        """Gives the connection back if the stream has ended, else closes it."""
        if self._progress.state == "ended":
            self._response.leave()
        else:
            self._response.close()

    async def _next(self) -> bytes:
        """What the client gets of the next chunk, or of some of its events if they are many; b''
        when that is nothing."""
        is_end, size = False, MOST_PARSED_BYTES
        try:
            if self._waiting is None:
                if await self._flows():
                    return b""
                is_over = self._progress.state == "finished"
                chunk = await self._response.part(self._over_at() if is_over else math.inf)
                size, is_end = self._read(chunk), not chunk
            if size > LIGHT_BYTES:
                await self._response.turn()
            piece = self._pass_on()
            if is_end:
                self._tally.cut()
            return piece
        except TimedOut:
            if asyncio.get_running_loop().time() < self._until:
                self._fail(ProviderTimeout())
            else:
                self._tally.cut()
        except TooLarge:
            self._break_off()
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            self._exchange.owe(ProviderError("too deep"))
        except (Failed, sse.NoEvents):
            self._fail(ProviderError())
        except Exception:
            # Raised on, it would end the client's stream as if all was well.
            log.exception("A stream could not be passed on")
            self._progress.fail(ProviderError())
        return b""

    async def _next_until(self, until: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                return await self._next()
        return b""

    async def _flows(self) -> bool:
        """Has small chunks passed on in the moment in which they come. Whether that ended for what
        is here now, and not for what comes next."""
        if self._send is None or self._progress.state != "answering":
            return False
        return not await self._response.flow(partial(self._take, self._send))

    def _take(self, send: Callable[[bytes], bool], chunk: bytes) -> bool:
        """Passes on a chunk that has just come; whether the next may come so, too."""
        if self._read(chunk) > LIGHT_BYTES:
            return False
        piece = self._pass_on()
        if piece and not send(piece):
            self._unsent = piece
        return not self._unsent and self._waiting is None and self._progress.state == "answering"

    def _read(self, chunk: bytes) -> int:
        """Finds the events of a chunk, b"" at the end, which wait then. How many bytes had to be
        looked at."""
        size = self._events.size + len(chunk)
        self._came += len(chunk)
        if self._came > self._most_bytes:
            raise TooLarge if self._progress.state != "waiting" else sse.NoEvents
        self._waiting = self._events.feed(chunk) if chunk else self._events.flush()
        return size

    def _over_at(self) -> float:
        """`_until` as it is now: what may still come is usage, and without that the end alone."""
        size, timeouts = self._output.size, self._timeouts
        if size != self._finished_size:  # some say with each chunk that it is the last
            self._finished_size, self._until = size, math.inf
        seconds = timeouts.leave if self._tally.is_complete else timeouts.last_usage
        self._until = min(self._until, asyncio.get_running_loop().time() + seconds)
        return self._until

    def _fail(self, failure: ProviderError) -> None:
        """The connection does."""
        if self._tally.is_complete:
            self._tally.cut()
        else:
            self._progress.fail(failure)

    def _pass_on(self) -> bytes:
        """What the client gets of what waits."""
        events, self._waiting = self._waiting or [], None
        if isinstance(events, list) and len(events) == 1:  # as nearly always
            piece = self._pass_one_on(events[0])
        else:
            piece = self._pass_some_on(iter(events))
        if self._came >= self._look_at or self._stream.kept > LIGHT_BYTES:
            if piece:
                self._last_sizes = self._last_sizes[1], len(piece)
            self._count_waiting(piece)
        return piece

    def _count_waiting(self, piece: bytes) -> None:
        kept, portion = self._stream.kept, self._portion
        # A slow client has not read the piece before this one either, which is there twice: as it
        # was made and as it is sent.
        largest = max(*self._last_sizes, len(piece))
        waiting = kept + self._events.size + self._response.unread_bytes + 2 * largest
        if kept > MOST_KEPT_BYTES or not portion.resize(waiting):
            self._break_off()
        self._look_at = self._came + (0 if portion.is_taken else LIGHT_BYTES)

    def _pass_some_on(self, events: Iterator[bytes]) -> bytes:
        pieces: list[bytes] = []
        until = monotonic() + TURN_SECONDS
        try:
            for data in events:
                pieces.append(self._pass_one_on(data))
                if not self._progress.goes_on:
                    break
                if len(pieces) == EVENTS_AT_ONCE or monotonic() > until:
                    self._waiting = events
                    break
        except TooLarge:
            self._break_off()
        except sse.NoEvents:
            self._progress.fail(ProviderError())
        return b"".join(pieces)

    def _break_off(self) -> None:
        self._exchange.owe(ReplyTooLarge("too large"))

    def _pass_one_on(self, data: bytes) -> bytes:
        if not data:
            return sse.COMMENT
        event = self._tally.see(data)
        piece = b"" if event is None else self._stream.event(data, event)
        if self._output.exceeds(self._most):
            self._progress.fail(ProviderError("more than its limit"))
        if not piece and self._progress.goes_on:
            return self._silence
        return piece

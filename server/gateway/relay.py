"""Relay: a provider's stream on its way to the client, each event as it comes."""

import asyncio
import contextlib
import logging

import orjson

from server.gateway.exchange import Exchange
from server.providers import sse
from server.providers.errors import ProviderError, ProviderTimeout
from server.providers.wire import Wire
from server.upstream.response import Failed, Response, TimedOut

log = logging.getLogger(__name__)


class Relay:
    """Of one response; what goes by is counted in the exchange's tally. Nothing is read before it
    is asked for, so that a client that reads slowly slows the provider down."""

    def __init__(self, response: Response, exchange: Exchange, client: Wire) -> None:
        attempt = exchange.attempt
        self._response = response
        self._events = sse.Events()
        self._tally = exchange.tally
        self._progress = exchange.progress
        self._client = client
        self._stream = attempt.translation.stream(attempt.ask.include_usage)
        self._most = exchange.limit * attempt.ask.choices
        self._first = b""

    async def begin(self) -> None:
        """Waits for the first piece. Raises ProviderError if it does not come."""
        if self._response.media_type != "text/event-stream":
            raise ProviderError
        while not self._first and self._progress.goes_on:
            self._first = await self._next()
        refusal = self._progress.refusal
        if refusal is not None and not self._first:
            raise refusal

    async def piece(self) -> bytes:
        """The next piece of the client's stream as soon as it is here; b"" when only its end is
        left. Nothing is raised: a failure is told there."""
        piece, self._first = self._first, b""
        while not piece and self._progress.goes_on:
            piece = await self._next()
        return piece

    def end(self) -> bytes:
        """The end of the client's stream, for better or worse."""
        failure = self._progress.failure
        return self._stream.end() if failure is None else self._client.error_frame(failure)

    async def read_on(self, seconds: float) -> None:
        """Counts what still comes until the usage has, for a client that has gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._progress.has_all_usage and self._progress.goes_on:
                    await self._next()

    def close(self) -> None:
        """Gives the connection back if the stream has ended, else closes it."""
        if self._progress.state == "ended":
            self._response.leave()
        else:
            self._response.close()

    async def _next(self) -> bytes:
        """What the client gets of the next chunk; b'' when that is nothing."""
        try:
            chunk = await self._response.part()
            piece = self._pass_on(self._events.feed(chunk) if chunk else self._events.flush())
        except TimedOut:
            self._progress.fail(ProviderTimeout())
        except (Failed, sse.TooLarge, orjson.JSONEncodeError):
            self._progress.fail(ProviderError())
        except Exception:
            # Raised on, it would end the client's stream as if all was well.
            log.exception("A stream could not be passed on")
            self._progress.fail(ProviderError())
        else:
            if not chunk:
                self._tally.cut()
            return piece
        return b""

    def _pass_on(self, events: list[bytes]) -> bytes:
        if len(events) == 1:  # as nearly always
            return self._pass_one_on(events[0])
        pieces = []
        for data in events:
            pieces.append(self._pass_one_on(data))
            if not self._progress.goes_on:
                break
        return b"".join(pieces)

    def _pass_one_on(self, data: bytes) -> bytes:
        if not data:
            return sse.COMMENT
        event = self._tally.see(data)
        if event is None:
            return b""
        piece = self._stream.event(data, event)
        if self._tally.output.least_tokens > self._most:
            self._progress.fail(ProviderError("more than its limit"))
        return piece

"""Streamed calls: whenever and however one ends, it is settled to what it cost."""

import logging

from server import metrics
from server.errors import Refusal
from server.gateway.calls import Call
from server.gateway.exchange import Exchange
from server.gateway.relay import Relay
from server.gateway.room import Portion
from server.metering.holding import Ending, Hold
from server.metering.results import Held
from server.upstream.response import Response

log = logging.getLogger(__name__)


class StreamedCall:
    """A call whose reply is passed on in pieces while its hold is open."""

    def __init__(self, call: Call, portion: Portion) -> None:
        """`portion` is what waits of the reply takes, which who sends that has leave at the end."""
        self._call = call
        self._portion = portion
        self._relay: Relay | None = None
        self._is_counted = False

    def hold(self) -> Hold:
        return self._call.hold(self._end)

    async def open(self, held: Held) -> Relay:
        """The stream, when its first piece is here. Whoever holds calls this first. Raises
        Refusal."""
        metrics.stream_opened()
        self._is_counted = True
        try:
            return await self._call.try_each(held, self._accept)
        except Refusal as refusal:
            refusal.headers = {**held.rate.headers(), **refusal.headers}
            raise

    async def _accept(self, exchange: Exchange, response: Response) -> Relay:
        call = self._call
        self._relay = relay = Relay(
            response, exchange, call.caller.wire, self._portion, call.timeouts
        )
        try:
            await relay.begin()
        except Refusal:
            relay.close()
            raise
        return relay

    async def _end(self) -> Ending:
        """Finds the cost, wherever the call has got to."""
        if self._is_counted:
            self._is_counted = False  # this may be asked again
            metrics.stream_closed()
        try:
            return await self._find_cost()
        finally:
            self._close()

    def _close(self) -> None:
        # Not kept: a refusal may keep this call until Python looks for such circles.
        relay, self._relay = self._relay, None
        if relay is None:
            return
        try:
            relay.close()
        except Exception:
            # Raised on, it would make the call free.
            log.exception("The connection of a stream could not be closed")

    async def _find_cost(self) -> Ending:
        exchange = self._call.exchange
        if exchange is None:
            return self._call.free()
        progress = exchange.progress
        if progress.state == "ended":
            return self._call.charged("completed")
        if progress.failure is None:
            if progress.state == "finished" and self._relay is not None:
                # The provider has done all its work, and is about to say what it was.
                await self._relay.read_on(self._call.timeouts.read_on)
                self._portion.leave()
            return self._call.charged("client_gone")
        if progress.state == "broken":
            return self._call.charged(progress.failure.label)
        # Comments had gone to the client, and then came no answer.
        assert progress.refusal is not None
        self._call.give_up(exchange, progress.refusal)
        return self._call.free()

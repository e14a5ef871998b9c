"""Streamed calls: whenever and however one ends, it is settled to what it cost."""

from server import metrics
from server.errors import Refusal
from server.gateway.calls import Call
from server.gateway.exchange import Exchange
from server.gateway.relay import Relay
from server.metering.holding import Hold
from server.upstream.response import Response


class StreamedCall(Call):
    """A call whose reply is passed on in pieces while its hold is open."""

    _opened: Hold
    _relay: Relay | None = None

    async def open(self, opened: Hold) -> Relay:
        """The stream, when its first piece is here. Raises Refusal."""
        self._opened = opened
        opened.before_settle = self._end
        metrics.stream_opened()
        try:
            await self._try_each(opened.held)
        except Refusal as refusal:
            refusal.headers = {**opened.held.rate.headers(), **refusal.headers}
            raise
        assert self._relay is not None
        return self._relay

    async def _accept(self, exchange: Exchange, response: Response) -> None:
        self._relay = Relay(response, exchange, self._caller.wire)
        try:
            await self._relay.begin()
        except Refusal:
            self._relay.close()
            raise

    async def _end(self) -> None:
        """Before the settle: finds the cost, wherever the call has got to."""
        metrics.stream_closed()
        if self._exchange is None:
            return
        try:
            await self._find_cost(self._exchange)
        finally:
            if self._relay is not None:
                self._relay.close()

    async def _find_cost(self, exchange: Exchange) -> None:
        progress, outcome = exchange.progress, "completed"
        refusal = progress.refusal if progress.state == "refused" else None
        if refusal is not None:
            # Comments had gone to the client, and then came no answer.
            self._give_up(refusal)
        elif progress.failure is not None:
            outcome = progress.failure.label
        elif progress.state != "ended":
            outcome = "client_gone"
            if progress.state == "finished" and self._relay is not None:
                # The provider has done all its work, and is about to say what it was.
                await self._relay.read_on(self._upstream.timeouts.read_on)
        self._settle_to_cost(self._opened, outcome)

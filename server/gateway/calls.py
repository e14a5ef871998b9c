"""Calls to providers: tokens are held, endpoints tried in order, and the true cost settled."""

import logging
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

import orjson

from server import metrics
from server.errors import (
    PaymentRequired,
    ProviderAuthError,
    ProviderError,
    ProviderTimeout,
    Refusal,
)
from server.gateway.attempts import Attempt
from server.gateway.exchange import Exchange, ref_of
from server.metering.holding import Hold, Holding
from server.metering.results import Held
from server.providers import refusals
from server.providers.reading import parse
from server.providers.wire import Wire
from server.upstream.client import Upstream
from server.upstream.response import Failed, Response, TimedOut, Unreachable
from server.who import Ref, Who

log = logging.getLogger(__name__)

MOST_REPLY_BYTES = 32 * 1024 * 1024
MOST_ERROR_BYTES = 64 * 1024


class Caller(NamedTuple):
    """Whose call it is; of `headers`, those of the request, few are passed on."""

    who: Who
    ref: Ref
    headers: Mapping[str, str]
    wire: Wire


class Completed(NamedTuple):
    """The reply to a call that is not streamed."""

    body: bytes
    headers: dict[str, str]


class Call:
    """One call. It costs nothing until an endpoint has it, and then what is used there."""

    def __init__(
        self, holding: Holding, upstream: Upstream, caller: Caller, attempts: list[Attempt]
    ) -> None:
        self._holding = holding
        self._upstream = upstream
        self._caller = caller
        self._attempts = attempts
        self._exchange: Exchange | None = None
        """The one that costs."""
        self._body = b""

    def hold(self) -> Hold:
        """For what the costliest attempt can cost, at least for the first one to make sense."""
        caller, attempts = self._caller, self._attempts
        least = attempts[0].least
        most = max(attempt.most for attempt in attempts)
        ref = ref_of(attempts[0], caller.ref)
        return self._holding.hold(caller.who, most, least, ref)

    async def complete(self) -> Completed:
        """Makes the call, to its end, whether or not somebody waits for it. Raises Refusal."""
        failure = None
        async with self.hold() as opened:
            try:
                await self._try_each(opened.held)
                self._settle_to_cost(opened, "completed")
            except Refusal as refusal:
                failure = refusal
        headers = opened.held.rate.headers()
        if opened.settled is not None:
            headers["x-tokens-charged"] = str(opened.settled.tokens)
            headers["x-tokens-left"] = str(opened.settled.tokens_left)
        if failure is not None:
            failure.headers = {**headers, **failure.headers}
            raise failure
        return Completed(self._body, headers)

    async def _try_each(self, held: Held) -> None:
        """Until a reply is accepted; if none is, raises what the first endpoint said.

        Together they have Timeouts.first_byte to begin it: no client waits for them one by one.
        """
        first: Refusal | None = None
        until = monotonic() + self._upstream.timeouts.first_byte
        limits = [attempt.limit_within(held.tokens) for attempt in self._attempts]
        left = len(limits) - limits.count(None)
        for attempt, limit in zip(self._attempts, limits, strict=True):
            if limit is None:
                continue
            seconds = (until - monotonic()) / left
            if first is not None and seconds <= 0:
                break
            left -= 1
            self._exchange = Exchange(attempt, limit)
            try:
                response = await self._send(self._exchange, seconds)
                await self._accept(self._exchange, response)
                return
            except ProviderError as refusal:
                self._give_up(refusal)
                first = first or refusal
                if isinstance(refusal, ProviderAuthError):
                    break
            except Refusal as refusal:
                self._give_up(refusal)
                raise
        raise first or PaymentRequired(held.tokens_left + held.tokens, held.rate.headers())

    async def _send(self, exchange: Exchange, seconds: float) -> Response:
        """The response, of status 200. Raises Refusal."""
        target = exchange.attempt.target
        api_key = target.endpoint.api_key or ""
        headers = target.wire.headers(api_key, self._caller.headers)
        try:
            # Without a name here the body is gone as soon as it is sent.
            response = await self._upstream.post(
                target.url, headers, exchange.body(), exchange.begin, seconds
            )
            if response.status == 200:
                return response
        except TimedOut:
            raise ProviderTimeout from None
        except (Unreachable, Failed) as error:
            raise ProviderError(str(error)) from None
        try:
            raw = await response.read(MOST_ERROR_BYTES)
        except (TimedOut, Failed):
            raw = b""  # the status says enough
        refusal = refusals.of_reply(response.status, response.headers, raw, api_key)
        refusal.reason = f"status {response.status}"
        raise refusal

    async def _accept(self, exchange: Exchange, response: Response) -> None:
        """Reads the reply as the client takes it. Raises ProviderError for one that is as bad as
        none; nothing is charged then."""
        try:
            raw = await response.read(MOST_REPLY_BYTES)
            value = parse(raw)
            if not isinstance(value, dict):
                raise ProviderError("not an object")
            exchange.tally.see_reply(value)
            refusal = exchange.progress.refusal
            if refusal is None:
                self._body = exchange.attempt.translation.reply(raw, value)
                return
        except TimedOut:
            raise ProviderTimeout from None
        except (Failed, orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
            raise ProviderError(type(error).__name__) from None
        raise refusal

    def _give_up(self, refusal: Refusal) -> None:
        """Nothing is charged for the exchange."""
        assert self._exchange is not None
        name, tenant_id = self._exchange.attempt.target.name, self._caller.who.tenant_id
        log.warning("Endpoint %s of tenant %s: %s", name, tenant_id, refusal.reason or refusal)
        self._report(refusal.label, 0)
        self._exchange = None

    def _settle_to_cost(self, opened: Hold, outcome: str) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.was_sent:
            return
        cost = exchange.cost(opened.held.tokens)
        opened.cost = cost.tokens
        usage = {"input": cost.usage.input, "output": cost.usage.output}
        opened.ref = {**ref_of(exchange.attempt, self._caller.ref), **usage}
        if cost.is_estimate:
            opened.ref["estimated"] = True
        self._report(outcome, cost.tokens)

    def _report(self, outcome: str, tokens: int) -> None:
        assert self._exchange is not None
        endpoint, seconds = self._exchange.attempt.target.name, self._exchange.seconds
        metrics.call_ended(self._caller.who.tenant_id, endpoint, outcome, seconds, tokens)

"""Calls to providers: tokens are held, endpoints tried in order until one's reply is accepted.

A whole reply (whole.py) and a streamed one (streams.py) each say when theirs is accepted, and how
the call ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from server import metrics
from server.errors import Refusal
from server.gateway.attempts import Attempt
from server.gateway.bodies import Bodies, Planned
from server.gateway.exchange import Exchange, ref_of
from server.gateway.failures import failure_of, refusal_of
from server.gateway.policy import Judged
from server.metering.errors import PaymentRequired
from server.metering.holding import Ending, Hold, Holding
from server.metering.meter import Meter
from server.metering.results import Held
from server.providers import refusals
from server.providers.errors import (
    ProviderAuthError,
    ProviderError,
    ProviderRefused,
)
from server.providers.wire import Wire
from server.upstream.client import Upstream
from server.upstream.errors import UpstreamError
from server.upstream.response import Response
from server.who import Ref, Who

log = logging.getLogger(__name__)

ANSWERED = (200, 201, 202)
"""Some servers say by another than 200 that they have created the answer, or have queued for it."""

T = TypeVar("T")


@dataclass(slots=True)
class Caller:
    """Whose call it is; of `headers`, those of the request, few are passed on."""

    who: Who
    ref: Ref
    headers: Mapping[str, str]
    wire: Wire


class Call:
    """One call. It costs nothing until an endpoint has it, and then what is used there."""

    def __init__(
        self,
        holding: Holding,
        meter: Meter,
        upstream: Upstream,
        caller: Caller,
        attempts: list[Attempt],
        judged: Judged,
        bodies: Bodies,
    ) -> None:
        self.caller = caller
        self.timeouts = upstream.timeouts
        self.exchange: Exchange | None = None
        """The one that costs."""
        self.is_alone = False
        """Without a client, and going on."""
        self._holding = holding
        self._meter = meter
        self._upstream = upstream
        self._attempts = attempts
        self._judged = judged
        self._bodies = bodies
        self._ref = ref_of(attempts[0], caller.ref)
        self._hold: Hold | None = None

    @property
    def kept(self) -> Exchange | None:
        """The one whose reply its endpoint keeps."""
        exchange = self.exchange
        return exchange if exchange is not None and exchange.sent.is_kept else None

    def hold(self, end: Callable[[], Awaitable[Ending]]) -> Hold:
        """For what the costliest attempt can cost, at least for the first one to make sense."""
        judged, least, who = self._judged, self._attempts[0].least, self.caller.who
        self._hold = self._holding.hold(
            self._meter, who, judged.most, least, self._ref, end, judged.rules
        )
        return self._hold

    def go_on_alone(self, task: asyncio.Task[None]) -> bool:
        """Its client has gone. Whether it comes to its end all the same, in `task`: not if it waits
        for tokens, which it does no more from now on."""
        if self._hold is not None:
            self._hold.may_wait = False
            if self._hold.is_waiting:
                return False
        self._holding.wait_for(task)
        self.is_alone = True
        return True

    async def try_each(self, held: Held, accept: Callable[[Exchange, Response], Awaitable[T]]) -> T:
        """What `accept` makes of the first response that it does not refuse by ProviderError; one
        that is owed for is the last.

        If there is none, raises what the first endpoint said; Unsupported if that cannot be asked.
        Together they have Timeouts.first_byte to begin a reply: no client waits for them one by
        one.
        """
        first: Refusal | None = None
        planned = await self._plan(held)
        until, left = monotonic() + self.timeouts.first_byte, len(planned)
        for attempt, limit, sent in planned:
            now = monotonic()
            seconds = (until - now) / left
            if first is not None and seconds <= 0:
                break
            left -= 1
            self.exchange = exchange = Exchange(attempt, sent, limit, held.tokens)
            try:
                try:
                    response = await self._send(exchange, seconds)
                except ProviderRefused as refusal:
                    response = await self._send_otherwise(exchange, refusal, now + seconds)
                accepted = await accept(exchange, response)
                self.forget_bodies()
                return accepted
            except ProviderError as refusal:
                _forget_frames(refusal)
                if exchange.is_owed:
                    self._log(exchange, refusal)
                    raise
                self.give_up(exchange, refusal)
                first = first or refusal
                if isinstance(refusal, ProviderAuthError):
                    break
            except Refusal as refusal:
                _forget_frames(refusal)
                self.give_up(exchange, refusal)
                raise
        raise first or self._not_covered(held)

    async def _plan(self, held: Held) -> list[Planned]:
        """The endpoints to try, in order. Raises Unsupported."""
        tried: list[tuple[Attempt, int]] = []
        limits = self._judged.limits[held.policy]
        for attempt, most in zip(self._attempts, limits, strict=True):
            limit = None if most is None else attempt.limit_within(held.tokens, most)
            if limit is not None:
                tried.append((attempt, limit))
        try:
            return await self._bodies.translate(tried)
        except Refusal as refusal:
            _forget_frames(refusal)
            raise

    def _not_covered(self, held: Held) -> PaymentRequired:
        left = held.tokens_left + held.tokens
        headers = held.rate.headers_of_refusal(left)
        return PaymentRequired(self._attempts[0].least, left, 0, headers)

    def forget_bodies(self) -> None:
        """No endpoint is asked any more. They may be large, and the reply long in coming; and a
        refusal can keep alive what it passed through until Python looks for such circles."""
        self._bodies.forget()
        self._hold = None  # which knows this call, and they would be such a circle, too

    def give_up(self, exchange: Exchange, refusal: Refusal) -> None:
        """Nothing is charged for the exchange."""
        self._log(exchange, refusal)
        self._report(exchange, refusal.label, 0)
        self.exchange = None

    def free(self) -> Ending:
        """It costs nothing."""
        return Ending(0, self._ref)

    def charged(self, outcome: str) -> Ending:
        """It costs what was used until now, if an endpoint has it; `outcome` is for the metrics."""
        exchange = self.exchange
        if exchange is None or not exchange.was_sent:
            return self.free()
        cost = exchange.cost()
        used: Ref = {"input": cost.input, "output": cost.output}
        if cost.is_estimate:
            used["estimated"] = True
        is_first = exchange.attempt is self._attempts[0]
        ref = self._ref if is_first else ref_of(exchange.attempt, self.caller.ref)
        ending = Ending(cost.tokens, {**ref, **used})
        self._report(exchange, outcome, cost.tokens)
        return ending

    async def _send_otherwise(
        self, exchange: Exchange, refusal: ProviderRefused, until: float
    ) -> Response:
        """As `_send`, of a request that is said otherwise where the endpoint has refused a member
        that can be."""
        of_limit: ProviderRefused | None = None
        while True:
            refused = refusal.param or ""
            is_of_limit = exchange.form.names_limit(refused)
            if until <= monotonic() or not exchange.reword(refused):
                # By either name: what was said first is about what the client asked for.
                refusal = (is_of_limit and of_limit) or refusal
                is_prompt = exchange.attempt.ask.prompt
                raise refusals.without_words(refusal) if is_prompt else refusal
            of_limit = refusal if is_of_limit else of_limit
            name, tenant_id = exchange.attempt.target.name, self.caller.who.tenant_id
            log.warning(
                "Endpoint %s of tenant %s is asked anew: %s", name, tenant_id, exchange.form
            )
            try:
                return await self._send(exchange, until - monotonic())
            except ProviderRefused as again:
                refusal = again

    async def _send(self, exchange: Exchange, seconds: float) -> Response:
        """The response, if its status may be an answer's. Raises Refusal."""
        target, tenant_id = exchange.attempt.target, self.caller.who.tenant_id
        headers = target.wire.headers(target.api_key, self.caller.headers)
        if target.headers:
            headers |= target.headers
        try:
            # Without a name here the body is gone as soon as it is sent.
            response = await self._upstream.post(
                target.url, headers, exchange.body(), exchange.begin, seconds, tenant_id
            )
            if response.status in ANSWERED:
                return response
        except UpstreamError as error:
            raise failure_of(error) from None
        raise await refusal_of(response, target.secrets)

    def _log(self, exchange: Exchange, refusal: Refusal) -> None:
        name, tenant_id = exchange.attempt.target.name, self.caller.who.tenant_id
        log.warning("Endpoint %s of tenant %s: %s", name, tenant_id, refusal.reason or refusal)

    def _report(self, exchange: Exchange, outcome: str, tokens: int) -> None:
        target, seconds = exchange.attempt.target, exchange.seconds
        of_call = self.caller.who.tenant_id, target.name, target.wire.operation
        try:
            metrics.call_ended(*of_call, outcome, seconds, tokens)
        except Exception:
            # Raised on, it would make the call free.
            log.exception("A call could not be counted")


def _forget_frames(refusal: Refusal) -> None:
    """They have what came of the reply, up to 32 MiB, or of the request. With a refusal that is
    kept they make a circle, which Python looks for seldom."""
    refusal.__traceback__ = refusal.__context__ = None

"""LimitedMeter: charges and holds within the limits of their tenant."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from server.errors import NotSent, Refusal, Unavailable
from server.metering.block import Taken
from server.metering.leases import TenantLeases
from server.metering.meter import Kind, Meter, held_of, new_hold_id
from server.metering.results import ChargeResult, Checked, Held, SettleResult, TimedCall
from server.metering.rules import NO_RULES, Rules
from server.metering.taking import Taking
from server.store import keys
from server.store.status import Status
from server.store.store import read
from server.who import Ref, Who

log = logging.getLogger(__name__)


class LimitedMeter(Meter):
    """For one request. It takes of its worker's leases what it may cost, before its script runs;
    what the script does not take goes back. Where the leases do not suffice, Redis is asked about
    the user first, so that nobody leases what he cannot pay: 401, a replay, the user's 429 and 402
    come before the tenant's 429.

    What Redis leaves open (Unavailable) counts as used. So does a hold over HTTP that nobody
    settles, though it goes back to the balance, until the user's next one on that day tells of it:
    else who holds again and again would use up the limit, and pay nothing.
    """

    def __init__(self, meter: Meter, leases: TenantLeases, is_stream: bool) -> None:
        """`is_stream`: a hold also takes one of the streams, until its settle begins."""
        super().__init__(meter._store, meter._ledger_size, meter._renewal)
        self._limits = leases.limits
        self._taking = Taking(leases, is_stream)
        self._script: asyncio.Future[list[Any]] | None = None

    async def charge(
        self, who: Who, tokens: int, ref: Ref, idempotency_key: str | None = None
    ) -> ChargeResult:
        """As Meter.charge; raises TenantLimited, too."""
        if not self._taking.take(tokens):
            checked = self.check(who, "charge", tokens, idempotency_key, str(tokens))
            await self._admit(who, checked, tokens, tokens)
        try:
            charged = await super().charge(who, tokens, ref, idempotency_key)
        except BaseException as error:
            self._failed(error)
            raise
        if charged.replayed:
            self._taking.give_back()
        return charged

    async def hold(
        self,
        who: Who,
        wanted: int,
        minimum: int,
        ttl_ms: int,
        kind: Kind,
        ref: Ref,
        idempotency_key: str | None = None,
        hold_id: str | None = None,
        rules: Rules = NO_RULES,
    ) -> Held:
        """As Meter.hold; it is cut to what is left of tokens_per_day, too, and raises TenantLimited
        below `minimum`. Not with an Idempotency-Key, which is kept with what was `wanted`."""
        if not self._taking.take(wanted, rules.is_rated):
            fingerprint = f"{wanted} {minimum} {ttl_ms}"
            checked = self.check(who, "hold", minimum, idempotency_key, fingerprint, rules.is_rated)
            await self._admit(who, checked, wanted if idempotency_key else minimum, wanted)
        taken = self._taking.tokens
        if taken is not None:
            if not idempotency_key:
                wanted = taken.units
            if kind == "api":
                mark = _mark(taken.window)
                hold_id = new_hold_id()[: -len(mark)] + mark
        try:
            held = await super().hold(
                who, wanted, minimum, ttl_ms, kind, ref, idempotency_key, hold_id, rules
            )
        except BaseException as error:
            self._failed(error)
            raise
        if held.replayed:
            self._taking.give_back()
        else:
            self._taking.cost(held.tokens - held.lapsed)
            if kind == "own":
                self._taking.hold()
        return held

    async def settle(
        self,
        who: Who,
        hold_id: str,
        tokens: int,
        kind: Kind,
        ref: Ref,
        again: bool = False,
    ) -> SettleResult:
        """As Meter.settle. What was held and not taken goes back to the day that it was held in,
        if that is not over; what was taken beyond that is added, whatever the limit is."""
        if kind == "api" and self._limits.tokens_per_day is not None:
            # To its end, so that who leaves before the reply gives back, too.
            settling = asyncio.create_task(self._settle_of_user(who, hold_id, tokens, ref))
            try:
                return await asyncio.shield(settling)
            except asyncio.CancelledError:
                settling.add_done_callback(_ended_for_nobody)
                raise
        self._taking.close()
        try:
            settled = await super().settle(who, hold_id, tokens, kind, ref, again)
        except asyncio.CancelledError:
            if self._script is not None:
                self._script.add_done_callback(self._settled_alone)
            raise
        taken = settled.tokens
        if settled.replayed and self._taking.tokens is not None:
            taken = min(taken, self._taking.tokens.units)  # it may be more than was there to take
        self._taking.cost(taken)
        return settled

    async def settle_timed(
        self, who: Who, call: TimedCall, tokens: int, ref: Ref, told: str
    ) -> SettleResult | None:
        """As Meter.settle_timed; what was not taken goes back to the day as with `settle`."""
        self._taking.tokens = call.taken
        settled = await super().settle_timed(who, call, tokens, ref, told)
        if settled is not None:
            self._taking.cost(settled.tokens)
        return settled

    def let_go(self) -> Taken | None:
        self._taking.close()
        return self._taking.tokens

    async def _settle_of_user(self, who: Who, hold_id: str, tokens: int, ref: Ref) -> SettleResult:
        # In this order on one connection: what is held is read before it is settled.
        self._taking.tokens, settled = await asyncio.gather(
            self._held(who, hold_id), super().settle(who, hold_id, tokens, "api", ref)
        )
        if not settled.replayed:
            self._taking.cost(settled.tokens)
        return settled

    async def _held(self, who: Who, hold_id: str) -> Taken | None:
        """What a hold over HTTP took of today's tokens; None if that is not known."""
        with suppress(Unavailable):
            status, values = await self._store.run("held", [keys.user(who.user_id)], hold_id)
            if status is Status.OK:
                tokens, day = values
                return Taken(tokens, day) if hold_id.endswith(_mark(day)) else None
        return None

    async def _admit(
        self, who: Who, checked: Coroutine[Any, Any, Checked], least: int, most: int
    ) -> None:
        """Leases what is missing, if the user passes the check: at least `least` tokens and up to
        `most`, or all that the user has. A replay needs nothing."""
        try:
            found = await checked
            if not found.replayed:
                most = min(most, found.tokens_left)
                headers = found.rate.headers_of_refusal(found.tokens_left)
                await self._taking.ask(who.tenant_id, min(least, most), most, headers)
        except BaseException as error:
            self._taking.give_back()
            if isinstance(error, Unavailable):
                raise NotSent(error.reason) from None
            raise

    def _run(
        self, name: str, keys: Sequence[str], *args: str | int | bytes
    ) -> asyncio.Future[list[Any]]:
        """To the end when the client has gone: else whoever leaves at the right moment would use up
        the limit, and pay nothing."""
        self._script = self._store.submit(name, keys, *args)
        return asyncio.shield(self._script)

    def _failed(self, error: BaseException) -> None:
        """The request's script took nothing, or has yet to tell what it took. After an unknown
        outcome the gateway settles, which closes the slot."""
        is_unknown = isinstance(error, Unavailable) and not isinstance(error, NotSent)
        if isinstance(error, asyncio.CancelledError) and self._script is not None:
            self._script.add_done_callback(self._ended_alone)
        elif isinstance(error, Refusal) and not is_unknown:
            self._taking.give_back()
        elif not is_unknown:
            self._taking.close()

    def _ended_alone(self, script: asyncio.Future[list[Any]]) -> None:
        """Of a script whose client has gone."""
        if failure := script.exception():
            if isinstance(failure, NotSent):
                self._taking.give_back()
            return
        status, values = read(script.result())
        if status is not Status.OK:
            self._taking.give_back()
        elif len(values) > 7:  # a hold, which may have held less than was taken
            held = held_of(status, values, 0)
            self._taking.cost(held.tokens - held.lapsed)

    def _settled_alone(self, settle: asyncio.Future[list[Any]]) -> None:
        """One that will be repeated, and then says no more how much it took."""
        if settle.exception() is None:
            status, values = read(settle.result())
            if status is Status.OK:
                self._taking.cost(values[0])


def _ended_for_nobody(settling: asyncio.Task[SettleResult]) -> None:
    """Nobody waits for a refusal any more, and asyncio would log it as a fault of ours."""
    error = None if settling.cancelled() else settling.exception()
    if error is not None and not isinstance(error, Refusal):
        log.error("A settle failed", exc_info=error)


def _mark(day: int) -> str:
    """How the ID of a hold ends that took of this day's tokens, by which its settle, at whatever
    worker, and lua/prelude/holds.lua know it. Before it are 96 random bits."""
    return f"{day:08x}"

"""Calls: what users ask for. A call is made when its tokens are held, which bound how long it may
last; from then on it is followed (following.py), whoever looks at it."""

import hashlib
import logging
import re
from collections.abc import Mapping
from secrets import token_urlsafe
from time import time
from typing import Any, NamedTuple

from server import metrics
from server.errors import (
    NoModel,
    NotFound,
    TooManyRequests,
    Unavailable,
    Unreadable,
    Unsupported,
)
from server.metering.holding import Ending, Hold, Holding
from server.metering.meter import Meter
from server.metering.results import Held
from server.metering.voice_rules import voice_rules
from server.providers.errors import ProviderError, ProviderRefused
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tenants.realtime import LEAST_SECONDS, RealtimeEndpoint
from server.tenants.tenants import Tenant
from server.timed.following import Following
from server.timed.provider import Account, Bill, Made, Provider, Wanted
from server.timed.providers import account_of
from server.timed.record import Name, Price, Record
from server.timed.work import ASKED_SECONDS
from server.who import Ref, Who

log = logging.getLogger(__name__)

SPARE_SECONDS = 12
"""That are held beside those of the call: it is billed in steps, and a provider may be late to end
it."""
_SETTLED = re.compile(r"([0-9]{1,15}) ([0-9]{1,15}) (\S*)")
"""Tokens, seconds, and the ID of the restricted key, '' for a full one."""
_LATE_SECONDS = 5
"""After the time to join, for the provider to say that nobody has."""


class Opened(NamedTuple):
    made: Made
    endpoint: RealtimeEndpoint
    record: Record
    held: Held


class View(NamedTuple):
    """A call as its user sees it: `created`, `joined`, `ended`, `settled`."""

    status: str
    seconds: int
    tokens: int


class Asked(NamedTuple):
    """What a user asks for: an endpoint's name, '' for the tenant's choice; the `seconds` that the
    call may last, 0 for the endpoint's own bound; `options` are checked."""

    endpoint: str
    seconds: int
    options: dict[str, Any]


class _Plan(NamedTuple):
    """`most`: seconds."""

    name: str
    endpoint: RealtimeEndpoint
    model: str
    provider: Provider
    account: Account
    price: Price
    most: int

    def tokens(self, seconds: int) -> int:
        """To hold for so many seconds of call."""
        return self.price.cost(Bill(seconds + SPARE_SECONDS))

    def seconds(self, tokens: int) -> int:
        """That a call may last for which so many tokens are held."""
        affordable = tokens * 1000 // self.price.second - SPARE_SECONDS
        step = self.provider.step
        return min(self.most, affordable // step * step)


class Calls:
    """Of one worker. `callbacks`: the URL that a tenant's callbacks are below, '' for none."""

    def __init__(
        self,
        store: Store,
        following: Following,
        holding: Holding,
        providers: Mapping[str, Provider],
        public_url: str,
    ) -> None:
        self._store = store
        self._following = following
        self._holding = holding
        self._providers = dict(providers)
        self._public_url = public_url

    async def make(self, tenant: Tenant, who: Who, meter: Meter, asked: Asked, ref: Ref) -> Opened:
        """Raises NoModel, Unsupported, as Holding.hold does, ProviderError, ProviderRefused,
        Unavailable: then nothing is charged."""
        plan = self._plan(tenant, asked)
        rules = voice_rules(tenant.config, who.restricted, plan.name, plan.model)
        ref = {**ref, "endpoint": plan.name}

        async def end() -> Ending:
            return Ending(0, ref)

        most, least = plan.tokens(plan.most), plan.tokens(min(LEAST_SECONDS, plan.most))
        async with self._holding.hold(meter, who, most, least, ref, end, rules) as hold:
            return await self._make(plan, who, meter, asked.options, hold, str(ref["requestId"]))

    def _plan(self, tenant: Tenant, asked: Asked) -> _Plan:
        realtime = tenant.config.providers.realtime
        name = asked.endpoint or (realtime and realtime.first("ultravox"))
        if realtime is None or not name or name not in realtime.endpoints:
            raise NoModel("This tenant has no such endpoint for calls")
        found = account_of(tenant, name, self._providers)
        if found is None:
            raise Unsupported("endpoint", "The endpoint is none for calls; it has a WebSocket")
        provider, account = found
        endpoint = realtime.endpoints[name]
        model = endpoint.model or ""
        weights = endpoint.weights(model)
        second = endpoint.tokens_per_second * weights.output
        price = Price(second, weights.input, weights.output)
        most = endpoint.most_seconds(name)
        most = min(most, asked.seconds) if asked.seconds else most
        return _Plan(name, endpoint, model, provider, account, price, most)

    async def _make(
        self,
        plan: _Plan,
        who: Who,
        meter: Meter,
        options: dict[str, Any],
        hold: Hold,
        request_id: str,
    ) -> Opened:
        seconds, hold_id = plan.seconds(hold.held.tokens), hold.held.hold_id
        token, now_ms = token_urlsafe(), int(time() * 1000)
        made = await self._ask(plan, options, seconds, hold_id, self._callback(who, token))
        name = Name(who.tenant_id, who.user_id, made.call_id, plan.name)
        ends_ms = now_ms + (plan.provider.join_seconds + seconds) * 1000
        record = Record(
            hold_id=hold_id,
            key_id=who.key_id,
            request_id=request_id,
            endpoint=plan.name,
            created_ms=now_ms,
            join_seconds=plan.provider.join_seconds,
            seconds=seconds,
            price=plan.price,
            taken=meter.let_go(),
            ends_ms=ends_ms,
        )
        # The work before the record: of what is in the list and has none nobody has the joinUrl.
        work = self._following.work
        await work.plan(name, plan.provider.join_seconds + _LATE_SECONDS, "new")
        if self._public_url:
            await work.keep_callback(token, name)
        if await self._following.keep(name, record, now_ms, is_new=True) is not Status.OK:
            raise Unavailable("the hold of a new call is gone")
        hold.leave()
        metrics.timed_call(who.tenant_id, plan.name, "created")
        return Opened(made, plan.endpoint, record, hold.held)

    async def _ask(
        self, plan: _Plan, options: dict[str, Any], seconds: int, hold_id: str, callback: str
    ) -> Made:
        endpoint = plan.endpoint
        wanted = Wanted(
            options,
            seconds,
            hashlib.sha256(hold_id.encode()).hexdigest(),
            callback,
            plan.model,
            endpoint.voice or "",
            endpoint.sample_rate,
        )
        try:
            return await plan.provider.make(plan.account, wanted)
        except (ProviderError, ProviderRefused) as refusal:
            told = refusal.reason or refusal
            tenant_id = plan.account.tenant_id
            log.warning("Endpoint %s of tenant %s: %s", plan.name, tenant_id, told)
            metrics.call_ended(tenant_id, plan.name, "calls", refusal.label, 0, 0)
            raise

    def _callback(self, who: Who, token: str) -> str:
        base = self._public_url
        return f"{base}/{who.tenant_id}/realtime/callbacks/{token}" if base else ""

    async def see(self, who: Who, call_id: str) -> View:
        """Asks the provider, but seldom. Raises NotFound where it is not this user's, or not this
        restricted key's; Unavailable, Unreadable."""
        record = await self._find(who, call_id)
        if isinstance(record, View):
            return record
        name = Name(who.tenant_id, who.user_id, call_id, record.endpoint)
        if await self._following.work.may_look(name):
            now = await self._following.look(name, record)
            if now is None:
                settled = await self._settled(who, call_id)
                return settled or View("settled", 0, 0)
            record = now
        return _view(record)

    async def hang_up(self, who: Who, call_id: str) -> View:
        """Asks the provider, but seldom. Raises as `see`, and ProviderError, ProviderRefused;
        TooManyRequests where another is at it."""
        record = await self._find(who, call_id)
        if isinstance(record, View):
            return record
        name = Name(who.tenant_id, who.user_id, call_id, record.endpoint)
        if not await self._following.work.may_hang_up(name):
            if record.is_hung_up:
                return _view(record)
            raise TooManyRequests(ASKED_SECONDS * 1000)
        return _view(await self._following.hang_up(name, record))

    async def heed(self, tenant_id: str, token: str) -> None:
        """A callback: the call is looked at now, or in a moment if it just was. Raises
        Unavailable."""
        work = self._following.work
        name = await work.of_callback(token)
        if name is not None and name.tenant_id == tenant_id:
            seconds = 0 if await work.may_look(name) else ASKED_SECONDS
            await work.plan(name, seconds, "sooner")

    async def _find(self, who: Who, call_id: str) -> Record | View:
        record = await self._following.find(who.user_id, call_id)
        if record is None:
            settled = await self._settled(who, call_id)
            if settled is None:
                raise NotFound
            return settled
        if not _may_see(who, record.key_id):
            raise NotFound
        return record

    async def _settled(self, who: Who, call_id: str) -> View | None:
        text = await self._store.get(keys.timed_settled(who.user_id, call_id))
        if text is None:
            return None
        found = _SETTLED.fullmatch(text.decode(errors="replace"))
        if found is None:
            raise Unreadable("a call that was settled")
        return View("settled", int(found[2]), int(found[1])) if _may_see(who, found[3]) else None


def _may_see(who: Who, key_id: str) -> bool:
    return who.restricted is None or who.key_id == key_id


def _view(record: Record) -> View:
    return View(record.status, record.used, record.price.cost(Bill(record.used)))

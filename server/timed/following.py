"""Following: looks at calls that are billed by time until they are over, and settles them.

What a call cost only its provider knows, and it says so to whoever asks with the tenant's key. What
a callback says is no more than that it is time to ask. The record of a call, which the script of
its settle removes, decides that it is charged once.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from time import time

from server import metrics
from server.errors import InvalidApiKey, InvalidTenant, Overloaded, Unavailable, Unreadable
from server.metering.holding import Holding
from server.metering.leases import Leases
from server.metering.limited import LimitedMeter
from server.metering.meter import Meter
from server.places import Places
from server.providers.errors import ProviderError, ProviderRefused
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.tasks import keep_going
from server.tenants.tenants import Tenant, Tenants
from server.timed.provider import Account, Provider
from server.timed.providers import account_of
from server.timed.record import Name, Record
from server.timed.verdict import Settlement, hold_seconds, of_silence, pause, seen, settlement
from server.timed.work import AT_ONCE, WorkList

log = logging.getLogger(__name__)

MOST_LOOKS = 180
"""At a time. A silent provider keeps each for 10 s or more, and its tenant must leave others some:
what finds no place is due again when its lease is over."""
_UNREADABLE_SECONDS = 30
"""Until that is told again, and looked at."""


class Following:
    """Of one worker."""

    def __init__(
        self,
        store: Store,
        tenants: Tenants,
        meter: Meter,
        leases: Leases,
        holding: Holding,
        providers: Mapping[str, Provider],
        ledger_size: int,
    ) -> None:
        self.work = WorkList(store)
        self._store = store
        self._tenants = tenants
        self._meter = meter
        self._leases = leases
        self._holding = holding
        self._providers = providers
        self._ledger_size = ledger_size
        self._task: asyncio.Task[None] | None = None
        self._places = Places(MOST_LOOKS)
        self._looks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._task = asyncio.create_task(keep_going(self._step, "Looking after calls"))

    async def close(self) -> None:
        """Whatever is under way another worker does again."""
        if self._task is not None:
            under_way = [self._task, *self._looks]
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    async def _step(self) -> None:
        names: list[Name] = []
        try:
            names = await self.work.due()
        except Unavailable:
            pass
        except Unreadable as error:
            log.error("The list of calls cannot be read: %s", error.reason)
            await asyncio.sleep(_UNREADABLE_SECONDS)
        for name in names:
            with suppress(Overloaded):
                self._begin(name)
        if len(names) < AT_ONCE:
            await asyncio.sleep(self._holding.timeouts.timed_look)

    def _begin(self, name: Name) -> None:
        """Looks at it, beside others. Raises Overloaded."""
        self._places.take(name.tenant_id)
        task = asyncio.create_task(self._look_in_place(name))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_in_place(self, name: Name) -> None:
        try:
            await self._look(name)
        except Unreadable as error:
            log.error("Call %s cannot be settled: %s", name.call_id, error.reason)
        except Unavailable:
            pass
        except Exception:
            log.exception("Looking at call %s failed", name.call_id)
        finally:
            self._places.leave(name.tenant_id)

    async def _look(self, name: Name) -> None:
        try:
            record = await self.find(name.user_id, name.call_id)
        except Unreadable as error:
            log.error("Call %s of user %s is lost: %s", name.call_id, name.user_id, error.reason)
            await self.work.plan(name, 0, "never")
            return
        if record is None:
            await self._end_what_is_nobodys(name)
        else:
            await self.look(name, record)

    async def find(self, user_id: str, call_id: str) -> Record | None:
        """None if there is none, or it is settled. Raises Unavailable, Unreadable."""
        text = await self._store.field(keys.timed(user_id), call_id)
        return None if text is None else Record.parse(text)

    async def look(self, name: Name, record: Record) -> Record | None:
        """Asks the provider, and settles if the call is over; else how it stands now. None where it
        is settled. Raises Unavailable."""
        try:
            tenant = await self._tenants.load(name.tenant_id)
        except InvalidTenant:
            await self.work.plan(name, 0, "never")
            return None
        now_ms = int(time() * 1000)
        found = account_of(tenant, record.endpoint, self._providers)
        decided, now = await self._asked(name, record, found, now_ms)
        if decided is not None:
            await self._settle(tenant, name, record, decided)
            return None
        await self.keep(name, now, now_ms)
        return now

    async def _asked(
        self,
        name: Name,
        record: Record,
        found: tuple[Provider, Account] | None,
        now_ms: int,
    ) -> tuple[Settlement | None, Record]:
        if found is None:
            return of_silence(record, now_ms), record
        provider, account = found
        try:
            state = await provider.look(account, name.call_id)
            if record.is_hung_up and state is not None and state.status == "joined":
                await provider.hang_up(account, name.call_id)  # joined only after that
        except (ProviderError, ProviderRefused) as refusal:
            told = refusal.reason or refusal
            log.warning("Endpoint %s of tenant %s: %s", record.endpoint, name.tenant_id, told)
            return of_silence(record, now_ms), record
        decided = settlement(record, state, now_ms)
        return decided, record if state is None else seen(record, state, now_ms)

    async def keep(self, name: Name, record: Record, now_ms: int, is_new: bool = False) -> Status:
        """Keeps how the call stands, and says when it is looked at next. Raises Unavailable."""
        next_look = pause(record, now_ms)
        status, _ = await self._store.run(
            "track",
            keys.of_timed(name.user_id),
            name.tenant_id,
            name.call_id,
            record.dump(),
            record.hold_id,
            int(hold_seconds(record, now_ms, next_look) * 1000),
            int(is_new),
            self._ledger_size,
        )
        if not is_new:
            await self.work.plan(name, next_look, "again")
        return status

    async def _settle(
        self, tenant: Tenant, name: Name, record: Record, decided: Settlement
    ) -> None:
        limits, meter = tenant.config.limits, self._meter
        if limits.are_metered:
            meter = LimitedMeter(meter, self._leases.of(name.tenant_id, limits), is_stream=False)
        bill, outcome = decided
        tokens = record.price.cost(bill)
        ref = record.ref(name.call_id) | {"seconds": bill.seconds}
        if outcome == "estimated":
            ref["estimated"] = True
        call, told = record.timed_call(name.call_id), f"{bill.seconds} {record.key_id}"
        try:
            settled = await meter.settle_timed(record.who(name), call, tokens, ref, told)
        except InvalidApiKey:
            await self._end_what_is_nobodys(name)
            return
        await self.work.plan(name, 0, "never")
        if settled is None:
            return
        self._holding.waiting.wake(name.user_id)
        metrics.timed_call(name.tenant_id, record.endpoint, outcome)
        of_call = (name.tenant_id, record.endpoint, "calls", outcome)
        metrics.call_ended(*of_call, bill.seconds, settled.tokens)
        if settled.tokens < tokens:
            metrics.overrun(name.tenant_id, tokens - settled.tokens)

    async def hang_up(self, name: Name, record: Record) -> Record:
        """Ends it, and has it looked at. Raises ProviderError, ProviderRefused, Unavailable."""
        await self._hang_up(name)
        now_ms = int(time() * 1000)
        ended = replace(record, ends_ms=min(record.ends_ms, now_ms), is_hung_up=True)
        await self.keep(name, ended, now_ms)
        await self.work.plan(name, 0, "sooner")
        return ended

    async def _end_what_is_nobodys(self, name: Name) -> None:
        """Of a user that was deleted; or it was settled, by one who could not say so here."""
        try:
            await self._hang_up(name)
        except (ProviderError, ProviderRefused, InvalidTenant) as refusal:
            log.warning("Call %s could not be ended: %s", name.call_id, refusal)
        await self.work.plan(name, 0, "never")

    async def _hang_up(self, name: Name) -> None:
        """Unless its endpoint is gone."""
        tenant = await self._tenants.load(name.tenant_id)
        found = account_of(tenant, name.endpoint, self._providers)
        if found is not None:
            provider, account = found
            await provider.hang_up(account, name.call_id)
